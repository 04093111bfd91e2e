#include "server/connection_threads.h"

#include <chrono>

namespace lille {

ConnectionThreads::~ConnectionThreads() {
  stop();
  std::unique_lock lock(mutex_);
  has_room_.wait(lock, [this] { return threads_.empty(); });
  join_ended(lock);
}

void ConnectionThreads::stop() {
  {
    const std::scoped_lock lock(mutex_);
    is_stopping_ = true;
  }
  has_work_.notify_all();
  has_room_.notify_all();
}

int64_t ConnectionThreads::n_threads() const {
  const std::scoped_lock lock(mutex_);
  return static_cast<int64_t>(threads_.size());
}

void ConnectionThreads::run(std::function<void()> work) {
  std::unique_lock lock(mutex_);
  const auto has_thread = [this] {
    return n_idle_ > static_cast<int64_t>(queue_.size()) ||
           static_cast<int64_t>(threads_.size()) < max_threads_;
  };
  has_room_.wait(lock, [&] { return is_stopping_ || has_thread(); });
  const bool needs_thread = n_idle_ <= static_cast<int64_t>(queue_.size());
  queue_.push_back(std::move(work));
  if (needs_thread) {
    threads_.emplace_front();
    const auto self = threads_.begin();
    // It waits for the lock before it looks at itself.
    *self = std::thread([this, self] { this->work(self); });
  }
  join_ended(lock);
  lock.unlock();
  has_work_.notify_one();
}

void ConnectionThreads::work(std::list<std::thread>::iterator self) {
  std::unique_lock lock(mutex_);
  while (true) {
    ++n_idle_;
    has_room_.notify_all();
    has_work_.wait_for(lock, std::chrono::duration<double>(idle_s_),
                       [this] { return is_stopping_ || !queue_.empty(); });
    --n_idle_;
    if (queue_.empty()) break;
    const std::function<void()> work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
  ended_.splice(ended_.end(), threads_, self);
  has_room_.notify_all();
}

// Threads that have ended, or are about to let go of the lock for the last time.
void ConnectionThreads::join_ended(std::unique_lock<std::mutex>& lock) {
  std::list<std::thread> ended;
  ended.splice(ended.end(), ended_);
  lock.unlock();
  for (std::thread& thread : ended) thread.join();
  lock.lock();
}

}  // namespace lille
