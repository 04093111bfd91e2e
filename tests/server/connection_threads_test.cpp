#include "server/connection_threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>

namespace lille {
namespace {

TEST(ConnectionThreads, ComeWithWorkUpToTheirBound) {
  // What the work looks at lives longer than the threads.
  std::promise<void> open;
  const std::shared_future<void> gate = open.get_future().share();
  std::latch begun(3);
  std::atomic<bool> is_open = false;
  std::promise<bool> fourth;
  ConnectionThreads threads(3, 60);
  for (int idx = 0; idx < 3; ++idx)
    threads.run([&] {
      begun.count_down();
      gate.wait();
    });
  begun.wait();
  EXPECT_EQ(threads.n_threads(), 3);
  // The fourth waits for a thread: run() returns only after the gate is open.
  std::thread bringer([&] { threads.run([&] { fourth.set_value(is_open); }); });
  is_open = true;
  open.set_value();
  EXPECT_TRUE(fourth.get_future().get());
  bringer.join();
  EXPECT_LE(threads.n_threads(), 3);
}

TEST(ConnectionThreads, GoWhenThereIsNothingToDo) {
  std::promise<void> done;
  std::promise<void> again;
  ConnectionThreads threads(2, 0.001);
  threads.run([&] { done.set_value(); });
  done.get_future().wait();
  while (threads.n_threads() > 0) std::this_thread::yield();
  threads.run([&] { again.set_value(); });
  again.get_future().wait();
}

TEST(ConnectionThreads, AllWorkIsDoneBeforeTheEnd) {
  std::atomic<int> n_done = 0;
  {
    ConnectionThreads threads(4, 60);
    for (int idx = 0; idx < 100; ++idx) threads.run([&] { ++n_done; });
    threads.stop();
    threads.run([&] { ++n_done; });
  }
  EXPECT_EQ(n_done, 101);
}

}  // namespace
}  // namespace lille
