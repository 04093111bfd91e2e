#include "eval/ceilings.h"

#include <gtest/gtest.h>

namespace lille {
namespace {

TEST(ReadRate, IsMeasuredForAnyPiecesAndNumberOfThreads) {
  const std::vector<std::byte> bytes(4 << 20, std::byte{1});
  const std::span<const std::byte> all(bytes);
  for (const int64_t n_threads : {1, 2, 3}) {
    ThreadPool pool(n_threads);
    EXPECT_EQ(ReadRate({}).measure(pool), 0);
    for (const std::vector<std::span<const std::byte>>& pieces :
         {std::vector{all.first(1)}, {all.first(1000), all.last(7)}, {all, all.subspan(1), all.first(300)}}) {
      const double rate = ReadRate(pieces).measure(pool);
      EXPECT_GT(rate, 0);
      // No memory is read faster than a petabyte a second.
      EXPECT_LT(rate, 1e6);
    }
  }
}

TEST(ReadRate, IsThatOfTheSizeAndTheTime) {
  // Whatever the machine does, a memory that is read many times takes as many times as long.
  const std::vector<std::byte> bytes(16 << 20, std::byte{1});
  ThreadPool pool(1);
  const auto begin = std::chrono::steady_clock::now();
  const double rate = ReadRate({std::span<const std::byte>(bytes)}).measure(pool);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  // Two passes took no longer than all of it, and the better of them no more than half.
  EXPECT_GE(rate * 1e9, 2 * static_cast<double>(bytes.size()) / took.count());
}

}  // namespace
}  // namespace lille
