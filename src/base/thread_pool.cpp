#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif

#include "base/check.h"
#include "base/cpu_quota.h"

namespace lille {
namespace {

/// How long a thread polls before it sleeps. Waking a sleeper costs about this much, and the small work
/// between two jobs of one token takes less.
constexpr std::chrono::microseconds kSpin{40};

void pause_core() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Polls until `ready()`; false if the time is over first.
template <typename Ready>
bool spin_until(Ready ready) {
  if (ready()) return true;
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int round = 0; round < 16; ++round) {
      pause_core();
      if (ready()) return true;
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

int64_t affinity_cpus() noexcept {
#ifdef __linux__
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) return std::max(1, CPU_COUNT(&mask));
#endif
  return std::max<int64_t>(1, std::thread::hardware_concurrency());
}

}  // namespace

int64_t n_usable_cpus() noexcept {
  const int64_t n_affinity = std::min(affinity_cpus(), ThreadPool::kMaxThreads);
  try {
    return std::min(n_affinity, cpu_quota().value_or(n_affinity));
  } catch (const std::exception&) {
    return n_affinity;
  }
}

/// Tasks are claimed by counting `ticket` down: its upper half is the job's number, its lower half the tasks
/// nobody has taken. Who takes one knows that the job's fields stand still until that task is counted in
/// n_done, so a thread that comes late, even into a later job, needs no handshake and nobody waits for it.
struct ThreadPool::State {
  explicit State(int64_t n) : n_threads(n), n_at_once(std::min(n, n_usable_cpus())) {}

  static uint32_t unclaimed(uint64_t ticket) noexcept { return static_cast<uint32_t>(ticket); }

  const int64_t n_threads;
  /// Threads that a job wakes: with more than there are processors they would wait for each other (16 threads
  /// on 2 processors: a third of the rate of 2).
  const int64_t n_at_once;

  const Task* task = nullptr;
  uint32_t n_tasks = 0;
  alignas(64) std::atomic<uint64_t> ticket{0};
  alignas(64) std::atomic<uint32_t> n_done{0};

  // A sleeper announces itself before it looks a last time, a waker publishes before it looks for sleepers
  // (both sequentially consistent): one of the two always sees the other.
  alignas(64) std::atomic<int64_t> n_sleeping{0};
  std::atomic<bool> caller_sleeps{false};
  std::atomic<bool> stopping{false};
  std::mutex mutex;
  std::condition_variable work_ready;
  std::condition_variable work_done;
  std::vector<std::thread> workers;

  bool has_work() const noexcept { return unclaimed(ticket.load()) != 0; }

  void run_tasks(int64_t thread_idx) {
    uint64_t seen = ticket.load();
    while (unclaimed(seen) != 0) {
      if (!ticket.compare_exchange_weak(seen, seen - 1)) continue;
      const uint32_t n_job_tasks = n_tasks;
      (*task)(int64_t{n_job_tasks} - unclaimed(seen), thread_idx);
      if (n_done.fetch_add(1) + 1 == n_job_tasks && caller_sleeps.load()) {
        const std::lock_guard lock(mutex);
        work_done.notify_one();
      }
      seen = ticket.load();
    }
  }

  void work(int64_t thread_idx) {
    const auto ready = [this] { return has_work() || stopping.load(); };
    while (!stopping.load()) {
      if (!spin_until(ready)) {
        std::unique_lock lock(mutex);
        n_sleeping.fetch_add(1);
        work_ready.wait(lock, ready);
        n_sleeping.fetch_sub(1);
      }
      run_tasks(thread_idx);
    }
  }

  /// Sees to it that n_wanted workers are awake.
  void wake(int64_t n_wanted) {
    const int64_t n_asleep = n_sleeping.load();
    const int64_t n_awake = n_threads - 1 - n_asleep;
    const int64_t n_to_wake = std::min(n_asleep, n_wanted - n_awake);
    if (n_to_wake <= 0) return;
    const std::lock_guard lock(mutex);
    if (n_to_wake == n_asleep) {
      work_ready.notify_all();
    } else {
      for (int64_t count = 0; count < n_to_wake; ++count) work_ready.notify_one();
    }
  }

  void wait_until_done() {
    const auto done = [this] { return n_done.load() == n_tasks; };
    if (spin_until(done)) return;
    std::unique_lock lock(mutex);
    caller_sleeps.store(true);
    work_done.wait(lock, done);
    caller_sleeps.store(false);
  }

  void stop() {
    {
      const std::lock_guard lock(mutex);
      stopping.store(true);
    }
    work_ready.notify_all();
    for (std::thread& worker : workers) worker.join();
  }
};

ThreadPool::ThreadPool(int64_t n_threads) {
  if (n_threads < 1 || n_threads > kMaxThreads)
    raise(ErrorCode::kInvalidArgument, "[ThreadPool] n_threads: expected 1 to {}, got {}", kMaxThreads,
          n_threads);
  state_ = std::make_unique<State>(n_threads);
  try {
    state_->workers.reserve(static_cast<std::size_t>(n_threads - 1));
    for (int64_t thread_idx = 1; thread_idx < n_threads; ++thread_idx)
      state_->workers.emplace_back([state = state_.get(), thread_idx] { state->work(thread_idx); });
  } catch (const std::system_error&) {
    const std::size_t n_started = state_->workers.size();
    state_->stop();
    raise(ErrorCode::kUnsupported,
          "[ThreadPool] n_threads: expected {} threads, the system gave {}. Hint: ask for fewer, or raise "
          "the limit "
          "on processes (ulimit -u)",
          n_threads, n_started + 1);
  }
}

ThreadPool::~ThreadPool() { state_->stop(); }

int64_t ThreadPool::n_threads() const noexcept { return state_->n_threads; }

void ThreadPool::run(int64_t n_tasks, Task task) {
  State& state = *state_;
  LILLE_CHECK(n_tasks <= std::numeric_limits<uint32_t>::max());
  if (n_tasks <= 1 || state.n_at_once == 1) {
    for (int64_t task_idx = 0; task_idx < n_tasks; ++task_idx) task(task_idx, 0);
    return;
  }
  state.task = &task;
  state.n_tasks = static_cast<uint32_t>(n_tasks);
  state.n_done.store(0);
  const uint64_t job_number = (state.ticket.load() >> 32) + 1;
  state.ticket.store((job_number << 32) | static_cast<uint64_t>(n_tasks));
  state.wake(std::min(n_tasks, state.n_at_once) - 1);
  state.run_tasks(0);
  state.wait_until_done();
}

}  // namespace lille
