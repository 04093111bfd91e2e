#include "server/patience.h"

#include <gtest/gtest.h>

#include <limits>

namespace lille {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Patience, AFewBytesDoNotMakeItLast) {
  Patience patience(seconds(20));
  // A byte each time just before it would be over: without a bound of the whole this never ends.
  int n_bytes = 0;
  for (; patience.left() > milliseconds(10); ++n_bytes) {
    ASSERT_LT(n_bytes, 100);
    patience.note(patience.left() - milliseconds(5), 1);
  }
  EXPECT_LE(n_bytes, 3);
}

TEST(Patience, WhoTakesEnoughIsWaitedForAsLongAsItTakes) {
  Patience patience(seconds(20));
  for (int idx = 0; idx < 10'000; ++idx) patience.note(seconds(10), 10 * 1024);
  EXPECT_EQ(patience.left(), seconds(20));
  // At half of the least rate it lasts for twice its time.
  int n_seconds = 0;
  for (; patience.left() > Patience::Duration::zero(); ++n_seconds) {
    ASSERT_LT(n_seconds, 100);
    patience.note(seconds(1), 512);
  }
  EXPECT_EQ(n_seconds, 40);
}

TEST(Patience, IsNeverMoreThanAtFirstNorLessThanNothing) {
  Patience patience(seconds(1));
  patience.note(seconds(0), std::numeric_limits<std::size_t>::max());
  EXPECT_EQ(patience.left(), seconds(1));
  patience.note(std::chrono::hours(1), 0);
  EXPECT_EQ(patience.left(), seconds(0));
  const std::size_t n_taken = patience.spend([](Patience::Time deadline) -> std::size_t {
    EXPECT_LE(deadline, std::chrono::steady_clock::now());
    return 512;
  });
  EXPECT_EQ(n_taken, 512u);
  EXPECT_GT(patience.left(), seconds(0)) << "what was taken gives some back";
  patience.restore();
  EXPECT_EQ(patience.left(), seconds(1));
}

}  // namespace
}  // namespace lille
