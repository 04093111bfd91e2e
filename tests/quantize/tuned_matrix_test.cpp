#include "quantize/tuned_matrix.h"

#include "kernels/float_kind.h"
#include "quantize/quantize_cases.h"

namespace lille {
namespace {

using kernels::FloatKind;
using kernels::WeightKind;

constexpr int64_t kColumns = 64;
constexpr int64_t kRows = 6;
constexpr LayerQuantization kSetting = {.group_size = 32, .bits = 3};

kernels::WeightMatrix matrix_of(const AffineMatrix& codes) {
  return {.kind = WeightKind::kAffine,
          .data = codes.codes.data(),
          .n_out = kRows,
          .n_in = kColumns,
          .bits = kSetting.bits,
          .scales = codes.scales.data(),
          .biases = codes.biases.data(),
          .scale_kind = FloatKind::kBF16,
          .group_size = kSetting.group_size};
}

class TunedMatrixTest : public testing::Test {
 protected:
  std::vector<float> weights_of(const TunedMatrix& tuned) {
    std::vector<float> weights(source_.size());
    tuned.write_weights(weights, pool_);
    return weights;
  }

  /// Sum of the squared differences from some wanted weights.
  static double error(const std::vector<float>& weights, const std::vector<float>& wanted) {
    double sum = 0;
    for (std::size_t idx = 0; idx < weights.size(); ++idx)
      sum += (double{weights[idx]} - wanted[idx]) * (double{weights[idx]} - wanted[idx]);
    return sum;
  }

  ThreadPool pool_{2};
  const std::vector<float> source_ = test::normal_floats(kRows * kColumns, 1, 0.1f);
  const AffineMatrix codes_ =
      quantize_affine(test::f32_matrix(source_, kColumns), kSetting, FloatKind::kBF16, pool_);
  TunedMatrix tuned_{codes_, source_, kColumns, kSetting, FloatKind::kBF16, pool_};
};

TEST_F(TunedMatrixTest, BeginsAsTheCodesAre) {
  EXPECT_EQ(weights_of(tuned_), test::dequantize(matrix_of(codes_)));
  const AffineMatrix same = tuned_.codes();
  test::expect_same_bytes(same.codes, codes_.codes, "codes");
  test::expect_same_bytes(same.scales, codes_.scales, "scales");
  test::expect_same_bytes(same.biases, codes_.biases, "biases");
}

TEST_F(TunedMatrixTest, WhatItWritesIsWhatAKernelReads) {
  for (int64_t step_idx = 0; step_idx < 5; ++step_idx)
    tuned_.step(test::normal_floats(source_.size(), 7, 1.0f), {0.3, 0.01, step_idx}, pool_);
  EXPECT_NE(weights_of(tuned_), test::dequantize(matrix_of(codes_)));
  EXPECT_EQ(weights_of(tuned_), test::dequantize(matrix_of(tuned_.codes())));
}

// The first step of Adam is as long as the rate says, against the sign of the derivative.
TEST_F(TunedMatrixTest, StepsAgainstTheGradient) {
  const std::vector<float> ones(source_.size(), 1.0f);
  const std::vector<float> before = weights_of(tuned_);
  tuned_.step(ones, {0, 0.25, 0}, pool_);
  const AffineMatrix after = tuned_.codes();
  for (int64_t idx = 0; idx < kRows * kColumns / kSetting.group_size; ++idx) {
    const float scale = kernels::load_float(codes_.scales.data(), FloatKind::kBF16, idx);
    const float bias = kernels::load_float(codes_.biases.data(), FloatKind::kBF16, idx);
    EXPECT_NEAR(kernels::load_float(after.biases.data(), FloatKind::kBF16, idx),
                bias - 0.25f * std::fabs(scale), 0.005f * (std::fabs(bias) + std::fabs(scale)));
    EXPECT_NEAR(kernels::load_float(after.scales.data(), FloatKind::kBF16, idx),
                scale - 0.25f * std::fabs(scale), 0.01f * std::fabs(scale));
  }
  test::expect_same_bytes(after.codes, codes_.codes, "codes");
}

TEST_F(TunedMatrixTest, FindsWeightsThatItIsDrawnTo) {
  std::vector<float> wanted = test::normal_floats(source_.size(), 9, 0.03f);
  for (std::size_t idx = 0; idx < wanted.size(); ++idx) wanted[idx] += source_[idx];
  const double before = error(weights_of(tuned_), wanted);
  constexpr int64_t kSteps = 400;
  for (int64_t step_idx = 0; step_idx < kSteps; ++step_idx) {
    std::vector<float> gradient = weights_of(tuned_);
    for (std::size_t idx = 0; idx < gradient.size(); ++idx) gradient[idx] -= wanted[idx];
    const double left = 1 - static_cast<double>(step_idx) / kSteps;
    tuned_.step(gradient, {0.1 * left, 0.01 * left, step_idx}, pool_);
  }
  EXPECT_LT(error(weights_of(tuned_), wanted), 0.5 * before);
}

}  // namespace
}  // namespace lille
