#include "quantize/affine_blocks.h"

#include "kernels/float_kind.h"
#include "quantize/quantize_cases.h"

namespace lille {
namespace {

using kernels::FloatKind;
using kernels::WeightKind;

constexpr WeightKind kKinds[] = {WeightKind::kQ8_0, WeightKind::kQ4_0, WeightKind::kQ4_1, WeightKind::kQ5_0,
                                 WeightKind::kQ5_1, WeightKind::kQ4_K, WeightKind::kQ5_K};

kernels::WeightMatrix matrix_of(const AffineMatrix& affine, int64_t n_out, int64_t bits, FloatKind kind) {
  return {.kind = WeightKind::kAffine,
          .data = affine.codes.data(),
          .n_out = n_out,
          .n_in = 256,
          .bits = bits,
          .scales = affine.scales.data(),
          .biases = affine.biases.data(),
          .scale_kind = kind,
          .group_size = kBlockGroupSize};
}

// The weights that ggml computes from its own blocks; == takes -0, which a code of 0 may have there, for 0.
TEST(AffineBlocks, HaveGgmlsWeights) {
  const SafetensorsFile file(test::source_path("tests/golden/gguf/blocks.safetensors"));
  ThreadPool pool(2);
  for (const WeightKind kind : kKinds)
    for (const std::string prefix : {".", ".any_"}) {
      const std::string name = std::string(kernels::weight_kind_name(kind)) + prefix;
      const TensorView& blocks = file.at(name + "blocks");
      const kernels::WeightMatrix source = {
          .kind = kind, .data = blocks.bytes.data(), .n_out = blocks.shape[0], .n_in = 256};
      const std::vector<float> expected = test::floats_of(file.at(name + "weights"));
      for (const int64_t bits : {*affine_bits(kind), int64_t{8}})
        for (const FloatKind scale_kind : {affine_scale_kind(kind), FloatKind::kF32}) {
          const AffineMatrix affine = affine_from_blocks(source, bits, scale_kind, pool);
          EXPECT_EQ(test::dequantize(matrix_of(affine, source.n_out, bits, scale_kind)), expected)
              << name << ", " << bits << " bits";
        }
    }
}

TEST(AffineBlocks, KeepTheCodes) {
  std::vector<kernels::BlockQ8_0> blocks(8);
  for (std::size_t block_idx = 0; block_idx < blocks.size(); ++block_idx) {
    const uint16_t scale = f32_to_f16(0.5F + static_cast<float>(block_idx));
    std::memcpy(blocks[block_idx].scale, &scale, sizeof(scale));
    for (std::size_t idx = 0; idx < 32; ++idx)
      blocks[block_idx].codes[idx] = static_cast<int8_t>(static_cast<int>(block_idx * 32 + idx) - 128);
  }
  ThreadPool pool(1);
  const AffineMatrix affine = affine_from_blocks(
      {.kind = WeightKind::kQ8_0, .data = blocks.data(), .n_out = 1, .n_in = 256}, 8, FloatKind::kF16, pool);
  for (int idx = 0; idx < 256; ++idx)
    EXPECT_EQ(std::to_integer<int>(affine.codes[static_cast<std::size_t>(idx)]), idx);
  for (int64_t group_idx = 0; group_idx < 8; ++group_idx) {
    const float scale = 0.5F + static_cast<float>(group_idx);
    EXPECT_EQ(kernels::load_float(affine.scales.data(), FloatKind::kF16, group_idx), scale);
    EXPECT_EQ(kernels::load_float(affine.biases.data(), FloatKind::kF16, group_idx), -128 * scale);
  }
}

TEST(AffineBlocks, SaysWhatNoScaleHolds) {
  kernels::BlockQ8_0 block = {};
  const uint16_t scale = f32_to_f16(600);
  std::memcpy(block.scale, &scale, sizeof(scale));
  ThreadPool pool(1);
  const kernels::WeightMatrix source = {.kind = WeightKind::kQ8_0, .data = &block, .n_out = 1, .n_in = 32};
  test::expect_error(ErrorCode::kInvalidArgument, "expected values that F16 holds, got -76800",
                     [&] { affine_from_blocks(source, 8, FloatKind::kF16, pool); });
  EXPECT_NO_THROW(affine_from_blocks(source, 8, FloatKind::kF32, pool));
}

TEST(AffineBlocks, OfSixteenWeightsHaveNoForm) {
  EXPECT_FALSE(affine_bits(WeightKind::kQ6_K));
  EXPECT_FALSE(affine_bits(WeightKind::kBF16));
  EXPECT_FALSE(affine_bits(WeightKind::kAffine));
}

}  // namespace
}  // namespace lille
