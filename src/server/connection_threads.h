#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <utility>

namespace lille {

/// Threads that come when there is work and go when there was none for a while, up to a bound. A piece of
/// work beyond it, or beyond what the system lends, makes who brings it wait.
class ConnectionThreads {
 public:
  /// Starts a thread. @throws std::system_error if the system lends none.
  using Start = std::function<std::thread(std::function<void()>)>;

  /// @param max_threads  at least 1.
  /// @param idle_s       seconds after which a thread without work ends.
  /// @param start        another way to start threads than the usual one.
  ConnectionThreads(int64_t max_threads, double idle_s, Start start = start_thread)
      : max_threads_(max_threads), idle_s_(idle_s), start_(std::move(start)) {}
  /// Waits for all work to end.
  ~ConnectionThreads();
  ConnectionThreads(const ConnectionThreads&) = delete;
  ConnectionThreads& operator=(const ConnectionThreads&) = delete;

  /// Does it in a thread, as soon as one is free, and in that of the caller if there is none and none can be
  /// had. After stop() it still does.
  /// @param work  does not throw.
  void run(std::function<void()> work);
  /// Nobody waits in run() any more.
  void stop();
  /// Threads of this moment.
  int64_t n_threads() const;

 private:
  static std::thread start_thread(std::function<void()> work) { return std::thread(std::move(work)); }
  bool is_one_free() const { return n_idle_ > static_cast<int64_t>(queue_.size()); }
  bool add_thread();
  void work(std::list<std::thread>::iterator self);
  void join_ended(std::unique_lock<std::mutex>& lock);

  int64_t max_threads_;
  double idle_s_;
  Start start_;
  mutable std::mutex mutex_;
  std::condition_variable has_work_;
  std::condition_variable has_room_;
  std::deque<std::function<void()>> queue_;
  std::list<std::thread> threads_;
  std::list<std::thread> ended_;
  int64_t n_idle_ = 0;
  bool is_stopping_ = false;
};

}  // namespace lille
