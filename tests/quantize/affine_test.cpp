#include "quantize/affine.h"

#include <fmt/format.h>

#include "kernels/float_kind.h"
#include "quantize/quantize_cases.h"

namespace lille {
namespace {

using kernels::FloatKind;
using kernels::WeightKind;

constexpr const char* kMatrices = "golden/mlx/quant/matrices.safetensors";

void expect_mlx(const SafetensorsFile& file, const LayerQuantization& setting, FloatKind kind,
                ThreadPool& pool) {
  const bool is_f32 = kind == FloatKind::kF32;
  const TensorView& input = file.at(is_f32 ? "input" : "input_bf16");
  const kernels::WeightMatrix source = {.kind = is_f32 ? WeightKind::kF32 : WeightKind::kBF16,
                                        .data = input.bytes.data(),
                                        .n_out = input.shape[0],
                                        .n_in = input.shape[1]};
  const std::string name =
      fmt::format("b{}_g{}_{}", setting.bits, setting.group_size, is_f32 ? "f32" : "bf16");
  const AffineMatrix matrix = quantize_affine(source, setting, kind, pool);
  test::expect_same_bytes(matrix.scales, file.at(name + ".scales").bytes, name + ".scales");
  test::expect_same_bytes(matrix.biases, file.at(name + ".biases").bytes, name + ".biases");
  test::expect_same_bytes(matrix.codes, file.at(name + ".packed").bytes, name + ".packed");
}

TEST(QuantizeAffine, HasTheBitsOfMlx) {
  LILLE_NEED_SHARED();
  const SafetensorsFile file(test::shared_path(kMatrices));
  ThreadPool pool(2);
  for (const int64_t bits : {2, 3, 4, 5, 6, 8}) {
    for (const int64_t group_size : {32, 64, 128})
      expect_mlx(file, {group_size, bits}, FloatKind::kF32, pool);
    expect_mlx(file, {64, bits}, FloatKind::kBF16, pool);
  }
}

// The float32 values that MLX gives for its own codes: the reference kernel reads them alike.
TEST(QuantizeAffine, KernelsReadMlxsCodes) {
  LILLE_NEED_SHARED();
  const SafetensorsFile file(test::shared_path(kMatrices));
  for (const int64_t bits : {2, 3, 4, 5, 6, 8}) {
    const std::string name = fmt::format("b{}_g64_f32", bits);
    const std::vector<float> expected = test::floats_of(file.at(name + ".dequantised"));
    const std::vector<float> actual = test::dequantize({.kind = WeightKind::kAffine,
                                                        .data = file.at(name + ".packed").bytes.data(),
                                                        .n_out = 16,
                                                        .n_in = 256,
                                                        .bits = bits,
                                                        .scales = file.at(name + ".scales").bytes.data(),
                                                        .biases = file.at(name + ".biases").bytes.data(),
                                                        .group_size = 64});
    // MLX rounds the product and the sum, the kernels only the sum: two roundings of at most the larger of
    // the bias and the product apart.
    for (std::size_t idx = 0; idx < expected.size(); ++idx) {
      const float bias = kernels::load_float(file.at(name + ".biases").bytes.data(), FloatKind::kF32,
                                             static_cast<int64_t>(idx / 64));
      const double largest = std::fabs(double{bias}) + std::fabs(double{expected[idx]});
      ASSERT_NEAR(actual[idx], expected[idx], 2 * 0x1p-24 * largest) << name << " element " << idx;
    }
  }
}

TEST(QuantizeAffine, RoundsF16ScalesAndKeepsItsErrorBelowTheStep) {
  const std::vector<float> weights = test::normal_floats(3 * 256, 5, 0.05f);
  ThreadPool pool(1);
  const AffineMatrix matrix = quantize_affine(test::f32_matrix(weights, 256), {64, 8}, FloatKind::kF16, pool);
  EXPECT_EQ(matrix.scales.size(), 3u * 4 * 2);
  EXPECT_EQ(matrix.codes.size(), 3u * 256);
  const std::vector<float> read = test::dequantize({.kind = WeightKind::kAffine,
                                                    .data = matrix.codes.data(),
                                                    .n_out = 3,
                                                    .n_in = 256,
                                                    .bits = 8,
                                                    .scales = matrix.scales.data(),
                                                    .biases = matrix.biases.data(),
                                                    .scale_kind = FloatKind::kF16,
                                                    .group_size = 64});
  // A step is at most 0.4 / 255; the rounding of the scale to 11 bits counts up to 255 times half a unit.
  for (std::size_t idx = 0; idx < weights.size(); ++idx) EXPECT_NEAR(read[idx], weights[idx], 0.0016) << idx;
}

TEST(QuantizeAffine, RefusesWhatItCannotDo) {
  ThreadPool pool(2);
  std::vector<float> weights(4 * 96, 0.5f);
  const auto quantize = [&](LayerQuantization setting, FloatKind kind = FloatKind::kF32) {
    return [&, setting, kind] { quantize_affine(test::f32_matrix(weights, 96), setting, kind, pool); };
  };
  const ErrorCode code = ErrorCode::kInvalidArgument;
  test::expect_error(code, "[quantize] bits: expected 2, 3, 4, 5, 6 or 8, got 7", quantize({32, 7}));
  test::expect_error(code, "[quantize] group size: expected 32, 64 or 128, got 48", quantize({48, 8}));
  test::expect_error(code, "[quantize] rows: expected a multiple of the group size, 64, got 96",
                     quantize({64, 8}));
  weights[3] = 1e30f;
  test::expect_error(code, "[quantize] scales: expected values that F16 holds",
                     quantize({32, 8}, FloatKind::kF16));
  weights[4] = -3e38f;
  weights[3] = 3e38f;
  test::expect_error(code, "[quantize] scales: expected values that F32 holds, got", quantize({32, 8}));
  weights[3 * 96 + 5] = NAN;
  weights[2 * 96 + 7] = INFINITY;
  weights[3] = weights[4] = 0;
  test::expect_error(code, "[quantize] weight (2, 7): expected a finite number, got inf", quantize({32, 8}));
}

}  // namespace
}  // namespace lille
