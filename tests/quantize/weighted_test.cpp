#include "quantize/weighted.h"

#include "quantize/quantize_cases.h"

namespace lille {
namespace {

using kernels::FloatKind;
using kernels::WeightKind;

std::vector<float> values_of(const AffineMatrix& matrix, int64_t bits) {
  return test::dequantize({.kind = WeightKind::kAffine,
                           .data = matrix.codes.data(),
                           .n_out = 4,
                           .n_in = 64,
                           .bits = bits,
                           .scales = matrix.scales.data(),
                           .biases = matrix.biases.data(),
                           .scale_kind = FloatKind::kBF16,
                           .group_size = 32});
}

double error_of(const std::vector<float>& values, const std::vector<float>& weights,
                const std::vector<float>& importance) {
  double sum = 0;
  for (std::size_t idx = 0; idx < weights.size(); ++idx)
    sum += importance[idx % importance.size()] * (values[idx] - weights[idx]) * (values[idx] - weights[idx]);
  return sum;
}

TEST(QuantizeWeighted, LosesLessOfWhatIsImportant) {
  ThreadPool pool(2);
  const std::vector<float> weights = test::normal_floats(4 * 64, 1, 0.1f);
  std::vector<float> importance(64, 0.01f);
  for (std::size_t idx = 0; idx < importance.size(); idx += 5) importance[idx] = 10;
  const kernels::WeightMatrix source = test::f32_matrix(weights, 64);
  for (const int64_t bits : {2, 3, 4, 5, 6, 8}) {
    const AffineMatrix nearest = quantize_affine(source, {32, bits}, FloatKind::kBF16, pool);
    const AffineMatrix weighted = quantize_weighted(source, {32, bits}, FloatKind::kBF16, importance, pool);
    EXPECT_LT(error_of(values_of(weighted, bits), weights, importance),
              0.9 * error_of(values_of(nearest, bits), weights, importance))
        << bits;
  }
}

TEST(QuantizeWeighted, RefusesOtherShapes) {
  ThreadPool pool(1);
  const std::vector<float> weights(64, 0.5f);
  test::expect_error(ErrorCode::kInvalidShape, "[quantize] importance: expected (64) numbers, got (3)", [&] {
    quantize_weighted(test::f32_matrix(weights, 64), {32, 4}, FloatKind::kF32, std::vector<float>(3), pool);
  });
  test::expect_error(ErrorCode::kInvalidArgument, "expected a multiple of the group size, 128, got 64", [&] {
    quantize_weighted(test::f32_matrix(weights, 64), {128, 4}, FloatKind::kF32, std::vector<float>(64), pool);
  });
}

}  // namespace
}  // namespace lille
