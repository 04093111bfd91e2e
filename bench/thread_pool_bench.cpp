#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/thread_pool.h"

// What the thread pool costs: a job that does nothing, the jobs of a token, more threads than processors,
// another program on the processors, and time in which nothing is asked.

namespace lille {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_of(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

/// A job in which every thread takes part: each does one task, which ends when all have begun.
void barrier(benchmark::State& state) {
  ThreadPool pool(state.range(0));
  std::atomic<int64_t> n_begun = 0;
  int64_t n_expected = 0;
  for (auto _ : state) {
    n_expected += pool.n_threads();
    pool.run(pool.n_threads(), [&](int64_t, int64_t) {
      n_begun.fetch_add(1);
      while (n_begun.load() < n_expected) {
      }
    });
  }
}
BENCHMARK(barrier)
    ->ArgName("threads")
    ->Apply([](benchmark::internal::Benchmark* bench) {
      for (int64_t n_threads = 1; n_threads <= n_usable_cpus(); n_threads *= 2) bench->Arg(n_threads);
    })
    ->UseRealTime();

/// Computes for some time that does not depend on memory: 1 is about a microsecond.
void work_for(int64_t n_microseconds) {
  uint64_t value = 1;
  for (int64_t step = 0; step < 700 * n_microseconds; ++step) {
    value = value * 6364136223846793005u + 1442695040888963407u;
    benchmark::DoNotOptimize(value);
  }
}

/// The shape of a token of Lille-130M: 120 products of 16 tasks, and a little work between two of them that
/// one thread does.
void run_token(ThreadPool& pool) {
  for (int product = 0; product < 120; ++product) {
    pool.run(16, [](int64_t, int64_t) { work_for(3); });
    work_for(1);
  }
}

/// Tokens beside `n_others` threads of another kind that never rest.
void token(benchmark::State& state) {
  std::atomic<bool> stopping = false;
  std::vector<std::thread> others;
  for (int64_t idx = 0; idx < state.range(1); ++idx)
    others.emplace_back([&stopping] {
      while (!stopping.load(std::memory_order_relaxed)) work_for(100);
    });
  ThreadPool pool(state.range(0));
  for (auto _ : state) run_token(pool);
  stopping = true;
  for (std::thread& other : others) other.join();
  state.counters["tokens/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(token)
    ->ArgNames({"threads", "others"})
    ->ArgsProduct({{1, 2, 4, 16}, {0}})
    ->Args({1, 1})
    ->Args({2, 1})
    ->Args({4, 1})
    ->Args({2, 2})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Processor time that a pool takes in a second in which nobody asks it for anything, after a token.
void idle(benchmark::State& state) {
  ThreadPool pool(state.range(0));
  double used = 0;
  double waited = 0;
  for (auto _ : state) {
    run_token(pool);
    const double before = cpu_seconds();
    const auto begin = Clock::now();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    used += cpu_seconds() - before;
    waited += seconds_of(Clock::now() - begin);
  }
  state.counters["cpu ms/s"] = 1e3 * used / waited;
}
BENCHMARK(idle)->ArgName("threads")->Arg(2)->Arg(16)->Iterations(5)->UseRealTime()->Unit(
    benchmark::kMillisecond);

}  // namespace
}  // namespace lille

BENCHMARK_MAIN();
