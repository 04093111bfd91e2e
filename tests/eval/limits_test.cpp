#include "eval/limits.h"

#include <gtest/gtest.h>

#include "support.h"

namespace lille {
namespace {

Model load_small_model() { return Model::load(test::source_path("models/lille-tiny-8bit")); }

TEST(Percentile, IsTheValueThatAShareIsBelow) {
  EXPECT_EQ(percentile({3, 1, 2}, 0.5), 2);
  EXPECT_EQ(percentile({5}, 0.99), 5);
  EXPECT_EQ(percentile({4, 3, 2, 1}, 0.5), 2);
  EXPECT_EQ(percentile({4, 3, 2, 1}, 0.51), 3);
  EXPECT_EQ(percentile({4, 3, 2, 1}, 0), 1);
  EXPECT_EQ(percentile({4, 3, 2, 1}, 1), 4);
}

// A prompt's tokens take a time for the weights, the output projection's divided among them, and attention's,
// which grows with the mean number of keys: a + b / n + c * (n + 1) / 2. Three lengths tell what a fourth
// takes.
TEST(Limits, APromptsTimeIsWeightsOutputAndAttention) {
  for (const bool exact : {false, true}) {
    Limits limits(load_small_model(), {.exact = exact}, 1);
    limits.measure();
    if (limits.prefill_tokens_per_s(1) == 0) GTEST_SKIP() << "the reference has no peak";
    const auto seconds = [&](int64_t n) { return 1 / limits.prefill_tokens_per_s(n); };
    const double steps[] = {seconds(2) - seconds(1), seconds(4) - seconds(2)};
    // steps[0] = -b / 2 + c / 2, steps[1] = -b / 4 + c.
    const double c = (4 * steps[1] - 2 * steps[0]) / 3;
    const double b = c - 2 * steps[0];
    const double a = seconds(1) - b - c;
    EXPECT_NEAR(seconds(512), a + b / 512 + c * 513 / 2, 1e-6 * seconds(512));
    EXPECT_GT(a, 0);
    if (!exact) continue;
    // In float32 the output projection and attention run at the same peak.
    const ModelArgs args = load_small_model().args();
    const double expected = static_cast<double>(args.vocab_size * args.n_embd) /
                            static_cast<double>(2 * args.n_layer * args.q_size());
    EXPECT_NEAR(b / c, expected, 1e-3 * expected);
  }
}

TEST(Limits, TheReferenceHasNoneForPrompts) {
  Limits limits(load_small_model(), {.kernels = "reference"}, 1);
  limits.measure();
  EXPECT_EQ(limits.prefill_tokens_per_s(128), 0);
  EXPECT_GT(limits.read_gb_per_s(), 0);
}

}  // namespace
}  // namespace lille
