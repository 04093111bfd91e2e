#include "ops/read_order.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace lille::ops {
namespace {

constexpr std::array<std::byte, 5000> kMemory = {};

ThreadPool::Ahead job_at(std::size_t place) { return {&kMemory[place], &kMemory[place] + 1}; }

/// The places of the jobs that are foreseen after each of `places`.
std::vector<std::ptrdiff_t> foreseen(ReadOrder& order, const std::vector<std::size_t>& places) {
  std::vector<std::ptrdiff_t> result;
  for (const std::size_t place : places) {
    const ThreadPool::Ahead& next = order.after(job_at(place));
    EXPECT_EQ(next[1], next[0] + 1) << "every share of the job";
    result.push_back(next[0] - kMemory.data());
  }
  return result;
}

TEST(ReadOrder, ForeseesAPassThatItHasSeen) {
  ReadOrder order;
  foreseen(order, {7, 3, 9});
  EXPECT_EQ(foreseen(order, {7, 3, 9}), (std::vector<std::ptrdiff_t>{3, 9, 7}));
}

TEST(ReadOrder, LearnsAnotherPass) {
  ReadOrder order;
  foreseen(order, {1, 2, 3, 4});
  foreseen(order, {1, 5, 3});
  EXPECT_EQ(foreseen(order, {1, 5, 3}), (std::vector<std::ptrdiff_t>{5, 3, 1}));
}

TEST(ReadOrder, KeepsWhatAShorterPassDidNotReach) {
  ReadOrder order;
  foreseen(order, {1, 2, 3});
  foreseen(order, {1, 2});
  EXPECT_EQ(foreseen(order, {1, 2, 3}), (std::vector<std::ptrdiff_t>{2, 3, 1}));
}

TEST(ReadOrder, DoesNotGrowForever) {
  ReadOrder order;
  for (std::size_t place = 0; place < kMemory.size() - 1; ++place) order.after(job_at(place));
  // Job kMaxJobs has taken the first one's place.
  constexpr auto kFirst = static_cast<std::ptrdiff_t>(ReadOrder::kMaxJobs);
  EXPECT_EQ(foreseen(order, {kFirst}), (std::vector<std::ptrdiff_t>{kFirst + 1}));
}

}  // namespace
}  // namespace lille::ops
