#include "server/connection_threads.h"

#include <chrono>
#include <exception>
#include <new>

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
  bool is_taken = false;
  while (true) {
    const bool has_bound = static_cast<int64_t>(threads_.size()) >= max_threads_;
    is_taken = is_one_free() || (!has_bound && add_thread());
    // Where no thread is to be had, one that is busy comes to it, and nobody if there is none.
    if (is_taken || threads_.empty() || is_stopping_) break;
    has_room_.wait(lock);
  }
  is_taken = is_taken || !threads_.empty();
  if (is_taken) {
    try {
      queue_.push_back(std::move(work));
    } catch (const std::bad_alloc&) {
      is_taken = false;
    }
  }
  join_ended(lock);
  lock.unlock();
  if (is_taken)
    has_work_.notify_one();
  else
    work();
}

// Returns whether there is one more: the system may have no more of them, or no memory.
bool ConnectionThreads::add_thread() {
  const auto n_before = threads_.size();
  try {
    threads_.emplace_front();
    const auto self = threads_.begin();
    // It waits for the lock before it looks at itself.
    *self = start_([this, self] { work(self); });
    return true;
  } catch (const std::exception&) {
    if (threads_.size() > n_before) threads_.pop_front();
    return false;
  }
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
