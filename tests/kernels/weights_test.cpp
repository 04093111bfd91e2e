// Weights of the reference kernel against values worked out by hand from the formats' definitions.

#include <gtest/gtest.h>

#include <vector>

#include "base/dtype.h"
#include "kernels/kernel_table.h"
#include "kernels/weight_kind.h"

namespace lille::kernels {
namespace {

std::vector<float> row_of(const WeightMatrix& weight) {
  std::vector<float> row(static_cast<std::size_t>(weight.n_in));
  all_kernel_tables().back()->dequantize_row(row.data(), weight, 0);
  return row;
}

template <typename Block>
std::vector<float> weights_of(WeightKind kind, const Block& block) {
  return row_of({.kind = kind, .data = &block, .n_out = 1, .n_in = block_weights(kind)});
}

void put_half(uint8_t* field, float value) {
  const uint16_t half = f32_to_f16(value);
  field[0] = static_cast<uint8_t>(half & 255);
  field[1] = static_cast<uint8_t>(half >> 8);
}

TEST(Weights, SizesAndNamesAreGgufs) {
  EXPECT_EQ(block_bytes(WeightKind::kQ8_0), 34);
  EXPECT_EQ(block_bytes(WeightKind::kQ6_K), 210);
  EXPECT_EQ(block_weights(WeightKind::kQ5_1), 32);
  EXPECT_EQ(block_weights(WeightKind::kQ4_K), 256);
  EXPECT_EQ(weight_kind_name(WeightKind::kBF16), "BF16");
  EXPECT_EQ(weight_kind_name(WeightKind::kQ5_1), "Q5_1");
  EXPECT_EQ(weight_kind_name(WeightKind::kQ6_K), "Q6_K");
  EXPECT_EQ(row_bytes({.kind = WeightKind::kQ4_K, .n_in = 1792}), 7 * 144);
  EXPECT_EQ(row_bytes({.kind = WeightKind::kAffine, .n_in = 64, .bits = 3}), 24);
  EXPECT_EQ(row_bytes({.kind = WeightKind::kF16, .n_in = 5}), 10);
}

TEST(Weights, AffineCodesAreOneStreamOfBits) {
  // Codes 0, 1, ..., 7 of three bits, the first in the lowest bits: 0xfac688.
  std::vector<uint8_t> codes(12);
  for (std::size_t idx = 0; idx < 12; ++idx) codes[idx] = std::vector<uint8_t>{0x88, 0xc6, 0xfa}[idx % 3];
  const float scale = 0.5f;
  const float bias = -3.0f;
  const std::vector<float> row = row_of({.kind = WeightKind::kAffine,
                                         .data = codes.data(),
                                         .n_out = 1,
                                         .n_in = 32,
                                         .bits = 3,
                                         .scales = &scale,
                                         .biases = &bias,
                                         .group_size = 32});
  for (std::size_t idx = 0; idx < 32; ++idx)
    EXPECT_EQ(row[idx], 0.5f * static_cast<float>(idx % 8) - 3.0f) << idx;
}

TEST(Weights, BlocksOf32) {
  BlockQ8_0 q8{};
  put_half(q8.scale, -0.5f);
  q8.codes[0] = -128;
  q8.codes[31] = 127;
  EXPECT_EQ(weights_of(WeightKind::kQ8_0, q8)[0], 64.0f);
  EXPECT_EQ(weights_of(WeightKind::kQ8_0, q8)[31], -63.5f);

  BlockQ4_0 q4{};
  put_half(q4.scale, 2.0f);
  q4.codes[3] = 0xf1;
  EXPECT_EQ(weights_of(WeightKind::kQ4_0, q4)[3], -14.0f);
  EXPECT_EQ(weights_of(WeightKind::kQ4_0, q4)[19], 14.0f);

  BlockQ4_1 q41{};
  put_half(q41.scale, 2.0f);
  put_half(q41.bias, 0.25f);
  q41.codes[15] = 0x5a;
  EXPECT_EQ(weights_of(WeightKind::kQ4_1, q41)[15], 20.25f);
  EXPECT_EQ(weights_of(WeightKind::kQ4_1, q41)[31], 10.25f);

  BlockQ5_0 q5{};
  put_half(q5.scale, 1.0f);
  q5.codes[2] = 0x3f;
  q5.high_bits[0] = 4;  // weight 2
  q5.high_bits[3] = 1;  // weight 24
  EXPECT_EQ(weights_of(WeightKind::kQ5_0, q5)[2], 15.0f);
  EXPECT_EQ(weights_of(WeightKind::kQ5_0, q5)[18], -13.0f);
  EXPECT_EQ(weights_of(WeightKind::kQ5_0, q5)[24], 0.0f);

  BlockQ5_1 q51{};
  put_half(q51.scale, 1.0f);
  put_half(q51.bias, -1.0f);
  q51.codes[0] = 0x21;
  q51.high_bits[2] = 1;  // weight 16
  EXPECT_EQ(weights_of(WeightKind::kQ5_1, q51)[0], 0.0f);
  EXPECT_EQ(weights_of(WeightKind::kQ5_1, q51)[16], 17.0f);
}

TEST(Weights, SuperBlocks) {
  BlockQ4_K q4{};
  put_half(q4.scale, 0.5f);
  put_half(q4.min_scale, 0.25f);
  q4.scales_and_mins[1] = 3 | 2 << 6;  // scale of sub-block 1; top bits of scale 5
  q4.scales_and_mins[5] = 7 | 1 << 6;  // min of sub-block 1; top bits of min 5
  q4.scales_and_mins[9] = 0x94;        // low bits of scale and min 5
  q4.codes[4] = 0xe0;                  // weight 4 of sub-blocks 0 and 1
  q4.codes[64 + 31] = 0x20;            // weight 31 of sub-blocks 4 and 5
  EXPECT_EQ(weights_of(WeightKind::kQ4_K, q4)[32 + 4], 0.5f * 3 * 14 - 0.25f * 7);
  EXPECT_EQ(weights_of(WeightKind::kQ4_K, q4)[5 * 32 + 31], 0.5f * (4 + 32) * 2 - 0.25f * (9 + 16));

  BlockQ5_K q5{};
  put_half(q5.scale, 1.0f);
  q5.scales_and_mins[3] = 63;
  q5.codes[32] = 0xf0;
  q5.high_bits[0] = 1 << 3;
  EXPECT_EQ(weights_of(WeightKind::kQ5_K, q5)[3 * 32], 63.0f * 31);

  BlockQ6_K q6{};
  put_half(q6.scale, 0.125f);
  q6.scales[15] = -2;  // weights 240 to 255: second half, last quarter
  q6.low_bits[64 + 63] = 0x90;
  q6.high_bits[32 + 31] = 0xc0;
  EXPECT_EQ(weights_of(WeightKind::kQ6_K, q6)[255], 0.125f * -2 * (9 + 48 - 32));
  EXPECT_EQ(weights_of(WeightKind::kQ6_K, q6)[254], 0.125f * -2 * (0 - 32));
}

}  // namespace
}  // namespace lille::kernels
