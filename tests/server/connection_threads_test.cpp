#include "server/connection_threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <system_error>

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

// Starts as many threads as it has.
class Lender {
 public:
  explicit Lender(int n_threads) : n_left_(std::make_shared<std::atomic<int>>(n_threads)) {}
  ConnectionThreads::Start start() const {
    return [n_left = n_left_](std::function<void()> work) {
      if (n_left->fetch_sub(1) <= 0) throw std::system_error(EAGAIN, std::generic_category());
      return std::thread(std::move(work));
    };
  }

 private:
  std::shared_ptr<std::atomic<int>> n_left_;
};

TEST(ConnectionThreads, WhereNoMoreThreadsAreLentTheBusyOnesComeToIt) {
  std::promise<void> open;
  const std::shared_future<void> gate = open.get_future().share();
  std::latch begun(2);
  std::promise<std::thread::id> third;
  ConnectionThreads threads(8, 60, Lender(2).start());
  for (int idx = 0; idx < 2; ++idx)
    threads.run([&] {
      begun.count_down();
      gate.wait();
    });
  begun.wait();
  EXPECT_EQ(threads.n_threads(), 2);
  std::promise<std::thread::id> bringer_id;
  std::thread bringer([&] {
    bringer_id.set_value(std::this_thread::get_id());
    threads.run([&] { third.set_value(std::this_thread::get_id()); });
  });
  const std::thread::id brought_by = bringer_id.get_future().get();
  open.set_value();
  EXPECT_NE(third.get_future().get(), brought_by);
  bringer.join();
  EXPECT_EQ(threads.n_threads(), 2);
}

TEST(ConnectionThreads, WhereNoThreadIsLentTheCallerDoesIt) {
  ConnectionThreads threads(8, 60, Lender(0).start());
  std::thread::id done_by;
  threads.run([&] { done_by = std::this_thread::get_id(); });
  EXPECT_EQ(done_by, std::this_thread::get_id());
  EXPECT_EQ(threads.n_threads(), 0);
  threads.stop();
  threads.run([&] { done_by = {}; });
  EXPECT_EQ(done_by, std::thread::id());
}

}  // namespace
}  // namespace lille
