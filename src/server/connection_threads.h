#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

namespace lille {

/// Threads that come when there is work and go when there was none for a while, up to a bound. A piece of
/// work beyond it makes who brings it wait.
class ConnectionThreads {
 public:
  /// @param max_threads  at least 1.
  /// @param idle_s       seconds after which a thread without work ends.
  ConnectionThreads(int64_t max_threads, double idle_s) : max_threads_(max_threads), idle_s_(idle_s) {}
  /// Waits for all work to end.
  ~ConnectionThreads();
  ConnectionThreads(const ConnectionThreads&) = delete;
  ConnectionThreads& operator=(const ConnectionThreads&) = delete;

  /// Does it in a thread, as soon as one is free. After stop() it still does.
  void run(std::function<void()> work);
  /// Nobody waits in run() any more.
  void stop();
  /// Threads of this moment.
  int64_t n_threads() const;

 private:
  void work(std::list<std::thread>::iterator self);
  void join_ended(std::unique_lock<std::mutex>& lock);

  int64_t max_threads_;
  double idle_s_;
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
