#pragma once

#include <array>
#include <cstddef>
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
  /// A thread that has done its own share looks at each other one.
  static constexpr int64_t kMaxShares = 16;

  using Task = FunctionRef<void(int64_t task_idx, int64_t thread_idx)>;
  /// For each share of a job where the memory begins that it reads, or null. Never read, only asked for.
  using Ahead = std::array<const std::byte*, kMaxShares>;

  /// @throws Error(kInvalidArgument) unless 1 <= n_threads <= kMaxThreads; Error(kUnsupported) if the system
  ///   refuses threads.
  explicit ThreadPool(int64_t n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int64_t n_threads() const noexcept;

  /// Shares that the tasks of a job are dealt out in, one behind the other: one for each thread, up to
  /// kMaxShares.
  int64_t n_shares() const noexcept;
  /// First task of a share of n_tasks.
  static constexpr int64_t share_begin(int64_t n_tasks, int64_t share_idx, int64_t n_shares) noexcept {
    return n_tasks * share_idx / n_shares;
  }

  /// Calls task(task_idx, thread_idx) once for each task_idx in [0, n_tasks), thread_idx in [0, n_threads());
  /// returns when all are done. Which thread runs a task is not fixed, nor how many run at once (never more
  /// than n_usable_cpus()): a result must not depend on it, and a task must not wait for another.
  /// Tasks must not throw. n_tasks below 2^32. A thread takes the tasks of its share in order, so tasks that
  /// read memory should be in the order of addresses; then it takes the last ones of others.
  /// @param ahead  what the next job will read: threads that wait for each other, or for the next job, have
  ///   the beginning of their share fetched into their caches.
  void run(int64_t n_tasks, Task task, const Ahead& ahead = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lille
