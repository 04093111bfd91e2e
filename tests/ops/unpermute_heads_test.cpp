#include "ops/unpermute_heads.h"

#include "ops/ops_cases.h"

namespace lille::ops {
namespace {

TEST(UnpermuteHeads, PutsTheHalvesOfEachHeadBack) {
  OwnDevice own(best_table());
  // Two rows of two heads of six: even places hold the first half, odd places the second.
  std::vector<float> x = {0, 10, 1, 11, 2, 12, 100, 110, 101, 111, 102, 112,
                          5, 15, 6, 16, 7, 17, 105, 115, 106, 116, 107, 117};
  unpermute_heads(own.device, rows_of(x, 2, 12), 6);
  EXPECT_EQ(x, (std::vector<float>{0, 1, 2, 10, 11, 12, 100, 101, 102, 110, 111, 112,
                                   5, 6, 7, 15, 16, 17, 105, 106, 107, 115, 116, 117}));
}

TEST(UnpermuteHeads, GivesTheSameForAnyThreads) {
  const std::vector<float> values = random_floats(90 * 1024, 1);
  expect_same_for_any_threads(best_table(), [&](Device& device) {
    std::vector<float> x = values;
    unpermute_heads(device, rows_of(x, 90, 1024), 64);
    return x;
  });
}

TEST(UnpermuteHeads, HeadsMustBeEvenAndFillTheRow) {
  OwnDevice own(best_table());
  std::vector<float> x(24);
  for (const int64_t head_dim : {0, 3, 8, -2})
    test::expect_error(ErrorCode::kInvalidShape,
                       "[unpermute_heads] x: expected columns in heads of an even width",
                       [&] { unpermute_heads(own.device, rows_of(x, 2, 12), head_dim); });
}

}  // namespace
}  // namespace lille::ops
