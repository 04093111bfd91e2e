#include "quantize/gptq.h"

#include <cmath>

#include "kernels/float_kind.h"
#include "quantize/affine_group.h"
#include "quantize/output_matching.h"
#include "quantize/quantize_cases.h"
#include "quantize/weighted.h"

namespace lille {
namespace {

using kernels::FloatKind;
using kernels::WeightKind;

/// Inputs of a layer whose columns go together, as those of a model do: (n_tokens, n_in).
std::vector<float> correlated_inputs(std::size_t n_tokens, std::size_t n_in, uint32_t seed) {
  const std::vector<float> own = test::normal_floats(n_tokens * n_in, seed, 1.0f);
  const std::vector<float> shared = test::normal_floats(n_tokens * 4, seed + 1, 2.0f);
  const std::vector<float> mix = test::normal_floats(4 * n_in, seed + 2, 1.0f);
  std::vector<float> inputs = own;
  for (std::size_t token = 0; token < n_tokens; ++token)
    for (std::size_t col = 0; col < n_in; ++col)
      for (std::size_t idx = 0; idx < 4; ++idx)
        inputs[token * n_in + col] += shared[token * 4 + idx] * mix[idx * n_in + col];
  return inputs;
}

/// (n_in, n_in): the sum of a^T b.
std::vector<double> products_of(const std::vector<float>& a, const std::vector<float>& b, std::size_t n_in) {
  std::vector<double> sums(n_in * n_in);
  for (std::size_t token = 0; token < a.size() / n_in; ++token)
    for (std::size_t row = 0; row < n_in; ++row)
      for (std::size_t col = 0; col < n_in; ++col)
        sums[row * n_in + col] += double{a[token * n_in + row]} * b[token * n_in + col];
  return sums;
}

std::vector<float> values_of(const AffineMatrix& matrix, int64_t n_in, const LayerQuantization& setting,
                             FloatKind kind) {
  const int64_t n_out = static_cast<int64_t>(matrix.codes.size()) / (n_in * setting.bits / 8);
  return test::dequantize({.kind = WeightKind::kAffine,
                           .data = matrix.codes.data(),
                           .n_out = n_out,
                           .n_in = n_in,
                           .bits = setting.bits,
                           .scales = matrix.scales.data(),
                           .biases = matrix.biases.data(),
                           .scale_kind = kind,
                           .group_size = setting.group_size});
}

/// Sum over the tokens of the squared differences of all outputs, y from the weights `to` and x from `from`.
double output_error(const std::vector<float>& from, const std::vector<float>& x, const std::vector<float>& to,
                    const std::vector<float>& y, std::size_t n_in) {
  double sum = 0;
  for (std::size_t token = 0; token < x.size() / n_in; ++token)
    for (std::size_t row = 0; row < from.size() / n_in; ++row) {
      double difference = 0;
      for (std::size_t col = 0; col < n_in; ++col)
        difference += double{x[token * n_in + col]} * from[row * n_in + col] -
                      double{y[token * n_in + col]} * to[row * n_in + col];
      sum += difference * difference;
    }
  return sum;
}

TEST(QuantizeGptq, LosesLessOfTheOutputsThanRoundingToNearest) {
  constexpr std::size_t kIn = 128;
  ThreadPool pool(2);
  const std::vector<float> weights = test::normal_floats(24 * kIn, 1, 0.05f);
  const std::vector<float> x = correlated_inputs(400, kIn, 2);
  const std::vector<double> products = products_of(x, x, kIn);
  std::vector<float> importance(kIn);
  for (std::size_t col = 0; col < kIn; ++col) importance[col] = static_cast<float>(products[col * kIn + col]);
  const GptqHessian hessian(products, 0.01, pool);
  const kernels::WeightMatrix source = test::f32_matrix(weights, kIn);
  for (const int64_t bits : {2, 3, 4, 5, 6, 8}) {
    for (const int64_t group_size : {32, 64, 128}) {
      const LayerQuantization setting = {group_size, bits};
      const FloatKind kind = group_size == 32 ? FloatKind::kBF16 : FloatKind::kF32;
      const auto error = [&](const AffineMatrix& matrix) {
        return output_error(weights, x, values_of(matrix, kIn, setting, kind), x, kIn);
      };
      const double nearest = error(quantize_affine(source, setting, kind, pool));
      const double weighted = error(quantize_weighted(source, setting, kind, importance, pool));
      const double gptq = error(quantize_gptq(source, setting, kind, hessian, pool));
      EXPECT_LT(gptq, 0.5 * nearest) << bits << " bits, groups of " << group_size;
      EXPECT_LT(gptq, 0.6 * weighted) << bits << " bits, groups of " << group_size;
    }
  }
}

// Codes of two bits in one group of 32 of which only three columns have inputs: all 64 choices of their codes
// are tried with the scale and bias that were chosen.
TEST(QuantizeGptq, FindsTheBestCodesOfASmallCase) {
  constexpr std::size_t kIn = 32;
  constexpr std::size_t kUsed = 3;
  ThreadPool pool(1);
  int n_best = 0;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const std::vector<float> weights = test::normal_floats(kIn, seed, 1.0f);
    std::vector<float> x = correlated_inputs(50, kIn, seed + 100);
    for (std::size_t idx = 0; idx < x.size(); ++idx)
      if (idx % kIn >= kUsed) x[idx] = 0;
    const GptqHessian hessian(products_of(x, x, kIn), 1e-6, pool);
    const LayerQuantization setting = {32, 2};
    const AffineMatrix matrix =
        quantize_gptq(test::f32_matrix(weights, kIn), setting, FloatKind::kF32, hessian, pool);
    std::vector<float> values = values_of(matrix, kIn, setting, FloatKind::kF32);
    const double reached = output_error(weights, x, values, x, kIn);
    const float scale = kernels::load_float(matrix.scales.data(), FloatKind::kF32, 0);
    const float bias = kernels::load_float(matrix.biases.data(), FloatKind::kF32, 0);
    double best = INFINITY;
    for (int codes = 0; codes < 64; ++codes) {
      for (std::size_t col = 0; col < kUsed; ++col)
        values[col] = std::fma(scale, static_cast<float>(codes >> (2 * col) & 3), bias);
      best = std::min(best, output_error(weights, x, values, x, kIn));
    }
    EXPECT_GE(reached, best * (1 - 1e-5)) << seed;
    n_best += reached <= best * (1 + 1e-4) ? 1 : 0;
  }
  // One column changed at a time can end where only two changed together would help.
  EXPECT_GE(n_best, 15);
}

// Inputs that are all alike in size and go their own ways: errors of columns cannot make each other good.
TEST(QuantizeGptq, RoundsToNearestWhereColumnsAreIndependent) {
  constexpr std::size_t kIn = 64;
  ThreadPool pool(1);
  std::vector<double> unit(kIn * kIn);
  for (std::size_t idx = 0; idx < kIn; ++idx) unit[idx * kIn + idx] = 5;
  const GptqHessian hessian(unit, 0, pool);
  const std::vector<float> weights = test::normal_floats(4 * kIn, 9, 0.1f);
  const AffineMatrix matrix =
      quantize_gptq(test::f32_matrix(weights, kIn), {64, 4}, FloatKind::kF32, hessian, pool);
  const std::vector<float> values = values_of(matrix, kIn, {64, 4}, FloatKind::kF32);
  for (std::size_t idx = 0; idx < weights.size(); ++idx) {
    const auto row = static_cast<int64_t>(idx / kIn);
    const AffineGroup group = {kernels::load_float(matrix.scales.data(), FloatKind::kF32, row),
                               kernels::load_float(matrix.biases.data(), FloatKind::kF32, row)};
    // A weight in the middle of two values may fall to either.
    EXPECT_NEAR(std::fabs(values[idx] - weights[idx]),
                std::fabs(group.value_of(group.code_of(weights[idx], 15)) - weights[idx]), 1e-6)
        << idx;
  }
}

TEST(QuantizeGptq, DoesNotDependOnThreads) {
  constexpr std::size_t kIn = 64;
  ThreadPool one(1), three(3);
  const std::vector<float> weights = test::normal_floats(9 * kIn, 1, 0.05f);
  const std::vector<float> x = correlated_inputs(100, kIn, 2);
  const GptqHessian hessian(products_of(x, x, kIn), 0.01, one);
  const kernels::WeightMatrix source = test::f32_matrix(weights, kIn);
  const AffineMatrix a = quantize_gptq(source, {32, 3}, FloatKind::kF16, hessian, one);
  const AffineMatrix b = quantize_gptq(source, {32, 3}, FloatKind::kF16, hessian, three);
  EXPECT_EQ(a.codes, b.codes);
  EXPECT_EQ(a.scales, b.scales);
  EXPECT_EQ(a.biases, b.biases);
}

TEST(QuantizeGptq, RefusesWhatItCannotUse) {
  ThreadPool pool(1);
  const ErrorCode code = ErrorCode::kInvalidArgument;
  test::expect_error(code, "[quantize] calibration: expected inputs that are finite and not all zero",
                     [&] { GptqHessian(std::vector<double>(16), 0.01, pool); });
  test::expect_error(code, "finite", [&] { GptqHessian({1, 0, 0, NAN}, 0.01, pool); });
  const GptqHessian hessian({1, 0, 0, 1}, 0.01, pool);
  const std::vector<float> weights(64, 0.5f);
  test::expect_error(ErrorCode::kInvalidShape, "[quantize] Hessian: expected (64, 64), got (2, 2)", [&] {
    quantize_gptq(test::f32_matrix(weights, 64), {64, 4}, FloatKind::kF32, hessian, pool);
  });
  test::expect_error(code, "bits: expected 2, 3, 4, 5, 6 or 8, got 7", [&] {
    quantize_gptq(test::f32_matrix(weights, 64), {64, 7}, FloatKind::kF32, hessian, pool);
  });
}

}  // namespace
}  // namespace lille
