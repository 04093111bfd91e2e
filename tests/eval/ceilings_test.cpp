#include "eval/ceilings.h"

#include <gtest/gtest.h>

namespace lille {
namespace {

TEST(Ceilings, ReadingIsMeasuredForAnySizeAndNumberOfThreads) {
  for (const int64_t n_threads : {1, 2, 3}) {
    ThreadPool pool(n_threads);
    for (const int64_t n_bytes : {0, 1, 1000, 4 << 20}) {
      const double rate = read_gb_per_s(pool, n_bytes);
      EXPECT_GT(rate, 0);
      // No memory is read faster than a petabyte a second.
      EXPECT_LT(rate, 1e6);
    }
  }
}

}  // namespace
}  // namespace lille
