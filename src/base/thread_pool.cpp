#include "base/thread_pool.h"

#include <algorithm>
#include <array>
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

/// What a waiting thread asks for at a time: processors forget requests that come faster than memory answers.
constexpr int64_t kFetchStep = 512;

/// What a waiting thread asks for ahead in all: a part of a level-2 cache.
constexpr int64_t kFetchBytes = 64 * 1024;

void pause_core() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Polls until `ready()`; false if the time is over first. Between two looks it calls `pass_time()`.
template <typename Ready, typename PassTime>
bool spin_until(Ready ready, PassTime pass_time) {
  if (ready()) return true;
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int round = 0; round < 16; ++round) {
      pass_time();
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

namespace {

/// The tasks of a job are dealt out in shares, one behind the other. A thread takes its own from the front,
/// so that it reads memory in the order of addresses, then those of others from the back. A share is one
/// word, [first task left : end of those left], and who takes a task of it knows that the job's fields stand
/// still until that task is counted in n_done: a thread that comes late, even into a later job, needs no
/// handshake and nobody waits for it.
class Share {
 public:
  void fill(uint64_t begin, uint64_t end) noexcept { left_.store(begin << 32 | end); }

  /// A task that nobody has taken, or -1.
  int64_t take_first() noexcept {
    return take(uint64_t{1} << 32, [](uint64_t left) { return begin_of(left); });
  }
  int64_t take_last() noexcept {
    return take(~uint64_t{0}, [](uint64_t left) { return end_of(left) - 1; });
  }

 private:
  static int64_t begin_of(uint64_t left) noexcept { return static_cast<int64_t>(left >> 32); }
  static int64_t end_of(uint64_t left) noexcept { return static_cast<int64_t>(left & 0xffffffff); }

  template <typename TaskOf>
  int64_t take(uint64_t step, TaskOf task_of) noexcept {
    uint64_t left = left_.load();
    while (begin_of(left) < end_of(left))
      if (left_.compare_exchange_weak(left, left + step)) return task_of(left);
    return -1;
  }

  alignas(64) std::atomic<uint64_t> left_{0};
};

/// Asks for memory, some lines at a time.
class Fetcher {
 public:
  Fetcher() = default;
  explicit Fetcher(const std::byte* from) noexcept
      : at_(from), end_(from + (from == nullptr ? 0 : kFetchBytes)) {}

  void step() noexcept {
    if (at_ != end_)
      for (const std::byte* const stop = at_ + kFetchStep; at_ != stop; at_ += 64)
        __builtin_prefetch(at_, 0, 2);
    pause_core();
  }

 private:
  const std::byte* at_ = nullptr;
  const std::byte* end_ = nullptr;
};

}  // namespace

struct ThreadPool::State {
  explicit State(int64_t n)
      : n_threads(n),
        n_at_once(std::min(n, n_usable_cpus())),
        n_shares(std::min(n_at_once, kMaxShares)),
        shares(static_cast<std::size_t>(n_shares)) {}

  const int64_t n_threads;
  /// Threads that a job wakes: with more than there are processors they would wait for each other (16 threads
  /// on 2 processors: a third of the rate of 2).
  const int64_t n_at_once;
  const int64_t n_shares;

  const Task* task = nullptr;
  int64_t n_tasks = 0;
  std::vector<Share> shares;
  /// Where the shares of the next job begin in memory. Only asked for: nobody minds if it is read too late.
  std::array<std::atomic<const std::byte*>, kMaxShares> ahead = {};
  alignas(64) std::atomic<uint64_t> job{0};
  alignas(64) std::atomic<int64_t> n_done{0};

  // A sleeper announces itself before it looks a last time, a waker publishes before it looks for sleepers
  // (both sequentially consistent): one of the two always sees the other.
  alignas(64) std::atomic<int64_t> n_sleeping{0};
  std::atomic<bool> caller_sleeps{false};
  std::atomic<bool> stopping{false};
  std::mutex mutex;
  std::condition_variable work_ready;
  std::condition_variable work_done;
  std::vector<std::thread> workers;

  Share& share(int64_t idx) noexcept { return shares[static_cast<std::size_t>(idx % n_shares)]; }

  Fetcher fetcher(int64_t thread_idx) const noexcept {
    return Fetcher(ahead[static_cast<std::size_t>(thread_idx % n_shares)].load(std::memory_order_relaxed));
  }

  void run_tasks(int64_t thread_idx) {
    int64_t n_run = 0;
    int64_t n_job_tasks = 0;
    const auto run_task = [&](int64_t task_idx) {
      n_job_tasks = n_tasks;
      (*task)(task_idx, thread_idx);
      ++n_run;
    };
    for (int64_t idx; (idx = share(thread_idx).take_first()) >= 0;) run_task(idx);
    for (int64_t step = 1; step < n_shares; ++step)
      for (int64_t idx; (idx = share(thread_idx + step).take_last()) >= 0;) run_task(idx);
    if (n_run == 0 || n_done.fetch_add(n_run) + n_run != n_job_tasks || !caller_sleeps.load()) return;
    const std::lock_guard lock(mutex);
    work_done.notify_one();
  }

  void work(int64_t thread_idx) {
    uint64_t seen = 0;
    Fetcher next;
    const auto ready = [&] { return job.load() != seen || stopping.load(); };
    while (!stopping.load()) {
      if (!spin_until(ready, [&] { next.step(); })) {
        std::unique_lock lock(mutex);
        n_sleeping.fetch_add(1);
        work_ready.wait(lock, ready);
        n_sleeping.fetch_sub(1);
      }
      seen = job.load();
      run_tasks(thread_idx);
      next = fetcher(thread_idx);
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
    Fetcher next = fetcher(0);
    if (spin_until(done, [&] { next.step(); })) return;
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

int64_t ThreadPool::n_shares() const noexcept { return state_->n_shares; }

void ThreadPool::run(int64_t n_tasks, Task task, const Ahead& ahead) {
  State& state = *state_;
  LILLE_CHECK(n_tasks <= std::numeric_limits<uint32_t>::max());
  if (n_tasks <= 1 || state.n_at_once == 1) {
    for (int64_t task_idx = 0; task_idx < n_tasks; ++task_idx) task(task_idx, 0);
    return;
  }
  state.task = &task;
  state.n_tasks = n_tasks;
  state.n_done.store(0);
  for (std::size_t idx = 0; idx < ahead.size(); ++idx)
    state.ahead[idx].store(ahead[idx], std::memory_order_relaxed);
  for (int64_t idx = 0; idx < state.n_shares; ++idx)
    state.share(idx).fill(static_cast<uint64_t>(share_begin(n_tasks, idx, state.n_shares)),
                          static_cast<uint64_t>(share_begin(n_tasks, idx + 1, state.n_shares)));
  state.job.fetch_add(1);
  state.wake(std::min(n_tasks, state.n_at_once) - 1);
  state.run_tasks(0);
  state.wait_until_done();
}

}  // namespace lille
