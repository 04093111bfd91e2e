#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "support.h"

namespace lille {
namespace {

/// Runs n_tasks and expects each exactly once, on a thread of the pool.
void expect_each_once(ThreadPool& pool, int64_t n_tasks) {
  std::vector<std::atomic<int>> n_calls(static_cast<std::size_t>(n_tasks));
  std::atomic<int> n_wrong_threads{0};
  pool.run(n_tasks, [&](int64_t task_idx, int64_t thread_idx) {
    n_calls[static_cast<std::size_t>(task_idx)].fetch_add(1);
    if (thread_idx < 0 || thread_idx >= pool.n_threads()) n_wrong_threads.fetch_add(1);
  });
  for (const std::atomic<int>& count : n_calls) ASSERT_EQ(count.load(), 1);
  ASSERT_EQ(n_wrong_threads.load(), 0);
}

class ThreadPoolSizes : public ::testing::TestWithParam<int64_t> {};

TEST_P(ThreadPoolSizes, RunsEachTaskOnce) {
  ThreadPool pool(GetParam());
  for (const int64_t n_tasks : {0, 1, 2, 3, 7, 64, 1000}) expect_each_once(pool, n_tasks);
}

TEST_P(ThreadPoolSizes, WakesSleepersAgain) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::microseconds(50 * round));
    expect_each_once(pool, 1 + round);
  }
}

TEST_P(ThreadPoolSizes, ManySmallJobsNeitherLoseNorRepeatTasks) {
  ThreadPool pool(GetParam());
  constexpr int kJobs = 5000;
  int64_t n_expected = 0;
  std::atomic<int64_t> n_done{0};
  for (int job = 0; job < kJobs; ++job) {
    const int64_t n_tasks = job % 9;
    n_expected += n_tasks;
    pool.run(n_tasks, [&](int64_t, int64_t) { n_done.fetch_add(1, std::memory_order_relaxed); });
    ASSERT_EQ(n_done.load(), n_expected);
  }
}

TEST_P(ThreadPoolSizes, WhatTasksWroteIsSeenAfterwards) {
  ThreadPool pool(GetParam());
  std::vector<int64_t> values(513);
  for (int64_t round = 0; round < 200; ++round) {
    pool.run(static_cast<int64_t>(values.size()), [&](int64_t task_idx, int64_t) {
      values[static_cast<std::size_t>(task_idx)] = task_idx + round;
    });
    const int64_t n = static_cast<int64_t>(values.size());
    ASSERT_EQ(std::accumulate(values.begin(), values.end(), int64_t{0}), n * (n - 1) / 2 + n * round);
  }
}

TEST_P(ThreadPoolSizes, SharesFollowEachOther) {
  const ThreadPool pool(GetParam());
  const int64_t n_shares = pool.n_shares();
  EXPECT_GE(n_shares, 1);
  EXPECT_LE(n_shares, std::min(pool.n_threads(), ThreadPool::kMaxShares));
  for (const int64_t n_tasks : {0, 1, 5, 64}) {
    EXPECT_EQ(ThreadPool::share_begin(n_tasks, 0, n_shares), 0);
    EXPECT_EQ(ThreadPool::share_begin(n_tasks, n_shares, n_shares), n_tasks);
    for (int64_t idx = 0; idx < n_shares; ++idx)
      EXPECT_LE(ThreadPool::share_begin(n_tasks, idx, n_shares),
                ThreadPool::share_begin(n_tasks, idx + 1, n_shares));
  }
}

TEST_P(ThreadPoolSizes, AThreadTakesItsOwnShareInOrderAndThenTheEndsOfOthers) {
  ThreadPool pool(GetParam());
  const auto share_of = [&](int64_t task_idx) {
    int64_t idx = pool.n_shares() - 1;
    while (task_idx < ThreadPool::share_begin(300, idx, pool.n_shares())) --idx;
    return idx;
  };
  for (int round = 0; round < 10; ++round) {
    std::vector<std::vector<int64_t>> taken_by(static_cast<std::size_t>(pool.n_threads()));
    std::atomic<int64_t> n_steps{0};
    pool.run(300, [&](int64_t task_idx, int64_t thread_idx) {
      taken_by[static_cast<std::size_t>(thread_idx)].push_back(task_idx);
      for (int64_t step = 0; step < 100 * (task_idx % 7); ++step)
        n_steps.fetch_add(1, std::memory_order_relaxed);
    });
    for (std::size_t thread_idx = 0; thread_idx < taken_by.size(); ++thread_idx) {
      const int64_t own = static_cast<int64_t>(thread_idx) % pool.n_shares();
      const std::vector<int64_t>& taken = taken_by[thread_idx];
      for (std::size_t idx = 1; idx < taken.size(); ++idx) {
        const int64_t share = share_of(taken[idx]);
        if (share == own) {
          ASSERT_LT(taken[idx - 1], taken[idx]) << "thread " << thread_idx;
          ASSERT_EQ(share_of(taken[idx - 1]), own) << "thread " << thread_idx;
        } else if (share == share_of(taken[idx - 1])) {
          ASSERT_GT(taken[idx - 1], taken[idx]) << "thread " << thread_idx;
        }
      }
    }
  }
}

TEST_P(ThreadPoolSizes, NeverReadsWhatIsAhead) {
  ThreadPool pool(GetParam());
  ThreadPool::Ahead nowhere;
  nowhere.fill(reinterpret_cast<const std::byte*>(uintptr_t{4096}));
  for (int64_t job = 0; job < 50; ++job) {
    std::atomic<int64_t> n_done{0};
    pool.run(
        20, [&](int64_t, int64_t) { n_done.fetch_add(1); }, nowhere);
    ASSERT_EQ(n_done.load(), 20);
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolSizes, ::testing::Values(1, 2, 3, 7, 32));

TEST(ThreadPool, OneThreadAtATimeHasAnIndex) {
  ThreadPool pool(4);
  std::vector<std::atomic<bool>> busy(4);
  std::atomic<int> n_clashes{0};
  pool.run(400, [&](int64_t, int64_t thread_idx) {
    std::atomic<bool>& mine = busy[static_cast<std::size_t>(thread_idx)];
    if (mine.exchange(true)) n_clashes.fetch_add(1);
    std::this_thread::yield();
    mine.store(false);
  });
  EXPECT_EQ(n_clashes.load(), 0);
}

TEST(ThreadPool, UsesItsThreads) {
  if (n_usable_cpus() < 2) GTEST_SKIP() << "on one processor one thread runs at a time";
  ThreadPool pool(2);
  std::atomic<int> n_arrived{0};
  pool.run(2, [&](int64_t, int64_t) {
    n_arrived.fetch_add(1);
    while (n_arrived.load() < 2) std::this_thread::yield();
  });
  EXPECT_EQ(n_arrived.load(), 2);
}

TEST(ThreadPool, PoolsWorkSideBySide) {
  std::vector<std::thread> sessions;
  for (int session = 0; session < 3; ++session) {
    sessions.emplace_back([] {
      ThreadPool pool(3);
      for (int round = 0; round < 100; ++round) expect_each_once(pool, 17);
    });
  }
  for (std::thread& session : sessions) session.join();
}

TEST(ThreadPool, EndsWithoutHavingRun) {
  for (int round = 0; round < 20; ++round) ThreadPool(5);
}

TEST(ThreadPool, RefusesWrongSizes) {
  test::expect_error(ErrorCode::kInvalidArgument, "expected 1 to 1024, got 0", [] { ThreadPool(0); });
  test::expect_error(ErrorCode::kInvalidArgument, "got -3", [] { ThreadPool(-3); });
  test::expect_error(ErrorCode::kInvalidArgument, "got 1025", [] { ThreadPool(1025); });
}

TEST(ThreadPool, SomeProcessorIsUsable) {
  EXPECT_GE(n_usable_cpus(), 1);
  EXPECT_LE(n_usable_cpus(), ThreadPool::kMaxThreads);
  EXPECT_LE(n_usable_cpus(), std::max<int64_t>(1, std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace lille
