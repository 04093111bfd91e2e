#include "model/cache_type.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "base/dtype.h"
#include "kernels/weight_kind.h"
#include "model/golden.h"

namespace lille {
namespace {

using kernels::BlockQ8_0;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

float scale_of(const BlockQ8_0& block) { return f16_to_f32(load_unaligned<uint16_t>(block.scale)); }

BlockQ8_0 stored(std::vector<float> values) {
  values.resize(32);
  BlockQ8_0 block;
  std::memset(&block, 0x55, sizeof(block));
  store_cache_row(reinterpret_cast<std::byte*>(&block), values, CacheType::kQ8_0);
  return block;
}

TEST(CacheTypes, HaveNamesBitsAndSizes) {
  ModelArgs args = Model::load(test::source_path("models/lille-tiny-8bit")).args();
  ASSERT_EQ(args.head_dim(), 64);
  const int64_t n_heads = 2 * args.n_layer * args.n_kv_heads;
  const auto expect = [&](CacheType type, std::string_view name, int64_t bits, int64_t row_bytes) {
    EXPECT_EQ(cache_type_name(type), name);
    EXPECT_EQ(kv_bits(type), bits);
    EXPECT_EQ(cache_type_of_bits(bits), type);
    EXPECT_EQ(cache_bytes_per_token(args, type), n_heads * row_bytes);
  };
  expect(CacheType::kF32, "F32", 32, 256);
  expect(CacheType::kBF16, "BF16", 16, 128);
  expect(CacheType::kQ8_0, "Q8_0", 8, 68);
  for (const int64_t bits : {0, 4, 9, 64, -8})
    test::expect_error(ErrorCode::kInvalidArgument, "kv_bits: expected 32, 16 or 8, got ",
                       [&] { cache_type_of_bits(bits); });
  args.n_head = 16;
  args.n_kv_heads = 4;
  EXPECT_EQ(cache_bytes_per_token(args, CacheType::kBF16), 2 * args.n_layer * 4 * 16 * 2);
  test::expect_error(ErrorCode::kInvalidArgument, "multiple of 32",
                     [&] { cache_bytes_per_token(args, CacheType::kQ8_0); });
}

TEST(StoreCacheRow, FloatsAreCopiedOrRoundedToBf16) {
  const std::vector<float> values = {1.0f, -3.14159265f, 1e-40f, kInfinity, 65535.0f};
  std::vector<float> copy(values.size());
  store_cache_row(reinterpret_cast<std::byte*>(copy.data()), values, CacheType::kF32);
  EXPECT_EQ(copy, values);
  std::vector<uint16_t> narrow(values.size());
  store_cache_row(reinterpret_cast<std::byte*>(narrow.data()), values, CacheType::kBF16);
  for (std::size_t idx = 0; idx < values.size(); ++idx) EXPECT_EQ(narrow[idx], f32_to_bf16(values[idx]));
}

// F16 holds the scale to 2^-11, and a code is off by a half at most, or what the largest element loses above
// code 127 by that.
TEST(StoreCacheRow, ABlockIsItsValuesToHalfAScale) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  for (int exponent = -10; exponent <= 18; ++exponent) {
    std::vector<float> values(96);
    for (float& value : values) value = std::ldexp(normal(random), exponent);
    std::vector<BlockQ8_0> blocks(3);
    store_cache_row(reinterpret_cast<std::byte*>(blocks.data()), values, CacheType::kQ8_0);
    for (std::size_t idx = 0; idx < values.size(); ++idx) {
      const BlockQ8_0& block = blocks[idx / 32];
      const float value = scale_of(block) * static_cast<float>(block.codes[idx % 32]);
      EXPECT_NEAR(value, values[idx], (0.5 + 127 * 0x1p-11) * scale_of(block)) << "at 2^" << exponent;
    }
  }
}

TEST(StoreCacheRow, CodesAreWholeNumbersHalvesAwayFromZero) {
  const BlockQ8_0 block = stored({127.0f, -127.0f, 0.5f, -0.5f, 1.49f, -1.51f, 0.0f, -0.0f, 2.5f});
  EXPECT_EQ(scale_of(block), 1.0f);
  const int8_t expected[] = {127, -127, 1, -1, 1, -2, 0, 0, 3, 0};
  EXPECT_TRUE(std::equal(std::begin(expected), std::end(expected), block.codes));
}

TEST(StoreCacheRow, WhatIsNotFiniteOrTooLargeGivesANaNScale) {
  for (const float value : {kNaN, -kNaN, kInfinity, -kInfinity, 3e38f, 127.0f * 65520.0f}) {
    const BlockQ8_0 block = stored({1.0f, value, 2.0f});
    EXPECT_TRUE(std::isnan(scale_of(block))) << value;
    for (const int8_t code : block.codes) EXPECT_EQ(code, 0);
  }
  EXPECT_EQ(scale_of(stored({-127.0f * 65504.0f})), 65504.0f);
}

// Below half of F16's smallest number there is nothing; above it codes do not wrap.
TEST(StoreCacheRow, TinyBlocks) {
  const float smallest = 0x1p-24f;
  for (const float value : {0.0f, -0.0f, 1e-45f, 127 * 0.49f * smallest}) {
    const BlockQ8_0 block = stored({value, -value});
    EXPECT_EQ(scale_of(block), 0.0f);
    for (const int8_t code : block.codes) EXPECT_EQ(code, 0);
  }
  const BlockQ8_0 block = stored({127 * 1.49f * smallest, -127 * 1.49f * smallest, 3 * smallest});
  EXPECT_EQ(scale_of(block), smallest);
  EXPECT_EQ(block.codes[0], 127);
  EXPECT_EQ(block.codes[1], -127);
  EXPECT_EQ(block.codes[2], 3);
}

}  // namespace
}  // namespace lille
