#include "quantize/affine_group.h"

#include <cmath>

#include "quantize/quantize_cases.h"

namespace lille {
namespace {

using kernels::FloatKind;

double error_of(const AffineGroup& group, std::span<const float> weights, std::span<const float> importance,
                float max_code) {
  double sum = 0;
  for (std::size_t idx = 0; idx < weights.size(); ++idx) {
    const double value = double{group.scale} * group.code_of(weights[idx], max_code) + double{group.bias};
    sum += importance[idx] * (weights[idx] - value) * (weights[idx] - value);
  }
  return sum;
}

TEST(AffineGroup, FindsTheNearestCode) {
  const AffineGroup group = {0.5f, -1.0f};
  EXPECT_EQ(group.code_of(-1.0f, 3), 0);
  EXPECT_EQ(group.code_of(-0.3f, 3), 1);
  EXPECT_EQ(group.code_of(0.4f, 3), 3);
  EXPECT_EQ(group.code_of(9.0f, 3), 3);
  EXPECT_EQ(group.code_of(-9.0f, 3), 0);
  EXPECT_EQ(group.value_of(3), 0.5f);
  EXPECT_EQ((AffineGroup{0, 2.0f}).code_of(5.0f, 3), 0);
}

TEST(AffineGroup, RoundsScalesAsTheyAreStored) {
  EXPECT_EQ(round_scale(1.0f + 0x1p-12f, FloatKind::kF32), 1.0f + 0x1p-12f);
  EXPECT_EQ(round_scale(1.0f + 0x1p-12f, FloatKind::kF16), 1.0f);
  EXPECT_EQ(round_scale(1.0f + 0x1.8p-8f, FloatKind::kBF16), 1.0f + 0x1p-7f);
  EXPECT_TRUE(std::isinf(round_scale(1e6f, FloatKind::kF16)));
}

// Weights that lie on a grid of the form: there is an answer without any error.
TEST(FitWeighted, FindsAGridThatIsThere) {
  std::vector<float> weights;
  for (int idx = 0; idx < 32; ++idx) weights.push_back(0.25f * static_cast<float>(idx * 7 % 16) - 1.5f);
  const std::vector<float> importance(32, 1.0f);
  const AffineGroup group = fit_weighted(weights, importance, 15, FloatKind::kF32);
  EXPECT_NEAR(error_of(group, weights, importance, 15), 0, 1e-10);
}

// The two best values for three weights: those of the two close ones at their mean, by hand.
TEST(FitWeighted, FindsTheBestValuesOfASmallCase) {
  const std::vector<float> weights = {0.0f, 1.0f, 10.0f, 10.0f};
  const std::vector<float> importance = {1, 3, 1, 1};
  const AffineGroup group = fit_weighted(weights, importance, 1, FloatKind::kF32);
  EXPECT_NEAR(error_of(group, weights, importance, 1), 0.75, 1e-5);
}

TEST(FitWeighted, IsNeverWorseThanTheRangeAndUsuallyBetter) {
  double sum_range = 0, sum_fit = 0;
  for (uint32_t seed = 0; seed < 50; ++seed) {
    const std::vector<float> weights = test::normal_floats(64, seed, 0.1f);
    std::vector<float> importance = test::normal_floats(64, seed + 1000, 1.0f);
    for (float& share : importance) share *= share;
    AffineGroup range = fit_range(weights, 15);
    range = {round_scale(range.scale, FloatKind::kBF16), round_scale(range.bias, FloatKind::kBF16)};
    const AffineGroup fit = fit_weighted(weights, importance, 15, FloatKind::kBF16);
    EXPECT_EQ(fit.scale, round_scale(fit.scale, FloatKind::kBF16));
    EXPECT_EQ(fit.bias, round_scale(fit.bias, FloatKind::kBF16));
    const double of_range = error_of(range, weights, importance, 15);
    const double of_fit = error_of(fit, weights, importance, 15);
    // value_of rounds once, this twin not at all.
    EXPECT_LE(of_fit, of_range * 1.00001) << seed;
    sum_range += of_range;
    sum_fit += of_fit;
  }
  EXPECT_LT(sum_fit, 0.8 * sum_range);
}

TEST(FitWeighted, TakesEqualWeightsAndImportanceOfZero) {
  const std::vector<float> same(32, 0.3f);
  const std::vector<float> none(32, 0.0f);
  for (const std::vector<float>& importance : {std::vector<float>(32, 1.0f), none}) {
    const AffineGroup group = fit_weighted(same, importance, 15, FloatKind::kF32);
    EXPECT_NEAR(group.value_of(group.code_of(0.3f, 15)), 0.3f, 1e-6f);
  }
  const std::vector<float> weights = test::normal_floats(32, 3, 1.0f);
  EXPECT_TRUE(std::isfinite(fit_weighted(weights, none, 15, FloatKind::kF32).scale));
}

}  // namespace
}  // namespace lille
