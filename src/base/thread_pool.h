#pragma once

#include <cstdint>
#include <memory>

#include "base/function_ref.h"

namespace lille {

/// Threads that are worth using, from 1 to ThreadPool::kMaxThreads: the processors of this process's affinity
/// mask, cut to the CPU quota of its control group.
int64_t n_usable_cpus() noexcept;
/// The threads that are asked for, 0 being n_usable_cpus().
inline int64_t thread_count(int64_t requested) noexcept {
  return requested == 0 ? n_usable_cpus() : requested;
}

/// A fixed set of threads that run one job at a time. The calling thread is one of them, so a pool of 1 has
/// no thread of its own. Not to be used by two threads at once: each Session owns one. A task must not call
/// run().
class ThreadPool {
 public:
  static constexpr int64_t kMaxThreads = 1024;

  using Task = FunctionRef<void(int64_t task_idx, int64_t thread_idx)>;

  /// @throws Error(kInvalidArgument) unless 1 <= n_threads <= kMaxThreads; Error(kUnsupported) if the system
  ///   refuses threads.
  explicit ThreadPool(int64_t n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int64_t n_threads() const noexcept;

  /// Calls task(task_idx, thread_idx) once for each task_idx in [0, n_tasks), thread_idx in [0, n_threads());
  /// returns when all are done. Which thread runs a task is not fixed, nor how many run at once (never more
  /// than n_usable_cpus()): a result must not depend on it, and a task must not wait for another.
  /// Tasks must not throw. n_tasks below 2^32.
  void run(int64_t n_tasks, Task task);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lille
