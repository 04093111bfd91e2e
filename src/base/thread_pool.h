#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace lille {

/// Processors this process may use: its affinity mask, at least 1.
int64_t n_usable_cpus() noexcept;

/// A fixed set of threads that run one job at a time. The calling thread is one of them, so a pool of 1 has no
/// thread of its own. Not to be used by two threads at once: each Session owns one.
class ThreadPool {
 public:
  /// @throws Error(kInvalidArgument) unless 1 <= n_threads <= 1024.
  explicit ThreadPool(int64_t n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int64_t n_threads() const noexcept;

  /// Calls task(task_idx, thread_idx) once for each task_idx in [0, n_tasks), thread_idx in [0, n_threads());
  /// returns when all are done. Which thread runs a task is not fixed: a result must not depend on it.
  /// Tasks must not throw.
  void run(int64_t n_tasks, const std::function<void(int64_t task_idx, int64_t thread_idx)>& task);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lille
