#include "base/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace lille {
namespace {

/// The value of half bits by the definition of IEEE 754 binary16.
double half_value(uint16_t bits) {
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  const int exponent = bits >> 10 & 31;
  const int mantissa = bits & 1023;
  if (exponent == 31) return mantissa != 0 ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  return exponent == 0 ? sign * std::ldexp(mantissa, -24) : sign * std::ldexp(1024 + mantissa, exponent - 25);
}

/// The value of bfloat16 bits: 8 bits of exponent, 7 of mantissa.
double bf16_value(uint16_t bits) {
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  const int exponent = bits >> 7 & 255;
  const int mantissa = bits & 127;
  if (exponent == 255) return mantissa != 0 ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  return exponent == 0 ? sign * std::ldexp(mantissa, -133)
                       : sign * std::ldexp(128 + mantissa, exponent - 134);
}

struct Format {
  double (*value)(uint16_t);
  float (*widen)(uint16_t);
  uint16_t (*narrow)(float);
  uint16_t infinity;
};

const Format kHalf{half_value, [](uint16_t bits) { return f16_to_f32(bits); }, f32_to_f16, 0x7c00};
const Format kBFloat{bf16_value, [](uint16_t bits) { return bf16_to_f32(bits); },
                     [](float value) { return f32_to_bf16(value); }, 0x7f80};

class DTypeFormat : public testing::TestWithParam<Format> {};

TEST_P(DTypeFormat, WidensEveryValueExactly) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float widened = GetParam().widen(static_cast<uint16_t>(bits));
    const double expected = GetParam().value(static_cast<uint16_t>(bits));
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(widened)) << bits;
    } else {
      ASSERT_EQ(static_cast<double>(widened), expected) << bits;
      ASSERT_EQ(std::signbit(widened), bits >= 0x8000) << bits;
    }
  }
}

// Rounding is monotonic, so it is right everywhere if it is right at each value, at each middle between two,
// and one float below and above each middle.
TEST_P(DTypeFormat, RoundsToNearestWithTiesToEven) {
  const Format& format = GetParam();
  for (uint32_t bits = 0; bits < format.infinity; ++bits) {
    const auto below = static_cast<uint16_t>(bits);
    const auto above = static_cast<uint16_t>(bits + 1);
    // Infinity stands where the next value of the largest binade would.
    const double next =
        above == format.infinity ? 2 * format.value(below) - format.value(below - 1) : format.value(above);
    const auto middle = static_cast<float>(format.value(below) + (next - format.value(below)) / 2);
    const uint16_t even = below % 2 == 0 ? below : above;
    for (const uint16_t sign : {uint16_t{0}, uint16_t{0x8000}}) {
      const float factor = sign != 0 ? -1.0f : 1.0f;
      ASSERT_EQ(format.narrow(factor * format.widen(below)), below | sign);
      ASSERT_EQ(format.narrow(factor * middle), even | sign) << bits;
      ASSERT_EQ(format.narrow(factor * std::nextafterf(middle, 0.0f)), below | sign) << bits;
      ASSERT_EQ(format.narrow(factor * std::nextafterf(middle, INFINITY)), above | sign) << bits;
    }
  }
}

TEST_P(DTypeFormat, KeepsInfinityAndNaN) {
  const Format& format = GetParam();
  EXPECT_EQ(format.narrow(INFINITY), format.infinity);
  EXPECT_EQ(format.narrow(-INFINITY), format.infinity | 0x8000);
  EXPECT_EQ(format.narrow(std::numeric_limits<float>::max()), format.infinity);
  for (const uint32_t bits : {0x7f800001u, 0x7fc00000u, 0x7fffffffu, 0xff800001u, 0xffffffffu})
    EXPECT_TRUE(std::isnan(format.widen(format.narrow(std::bit_cast<float>(bits))))) << bits;
}

INSTANTIATE_TEST_SUITE_P(, DTypeFormat, testing::Values(kHalf, kBFloat),
                         [](const auto& param_info) { return param_info.index == 0 ? "F16" : "BF16"; });

TEST(DType, NamesAndSizes) {
  struct Row {
    DType dtype;
    const char* name;
    int64_t n_bytes;
  };
  for (const Row& row : std::vector<Row>{{DType::kF32, "F32", 4},
                                         {DType::kF16, "F16", 2},
                                         {DType::kBF16, "BF16", 2},
                                         {DType::kF64, "F64", 8},
                                         {DType::kI64, "I64", 8},
                                         {DType::kI32, "I32", 4},
                                         {DType::kI16, "I16", 2},
                                         {DType::kI8, "I8", 1},
                                         {DType::kU64, "U64", 8},
                                         {DType::kU32, "U32", 4},
                                         {DType::kU16, "U16", 2},
                                         {DType::kU8, "U8", 1},
                                         {DType::kBool, "BOOL", 1}}) {
    EXPECT_EQ(dtype_name(row.dtype), row.name);
    EXPECT_EQ(dtype_bytes(row.dtype), row.n_bytes);
    EXPECT_EQ(dtype_from_name(row.name), row.dtype);
  }
  for (const char* name : {"", "f32", "F8_E4M3", "F32 ", "Q8_0"})
    EXPECT_EQ(dtype_from_name(name), std::nullopt);
}

TEST(DType, LoadsFromAnyAddress) {
  const unsigned char bytes[] = {0, 0x78, 0x56, 0x34, 0x12, 0};
  EXPECT_EQ(load_unaligned<uint32_t>(bytes + 1), 0x12345678u);
  EXPECT_EQ(load_unaligned<uint16_t>(bytes + 3), 0x1234u);
}

// What ggml's block structs add up to: half-precision scales (and minima), packed codes, packed scales of
// sub-blocks.
TEST(DType, BlocksOfGguf) {
  struct Row {
    DType dtype;
    const char* name;
    int64_t n_elements;
    int64_t n_bytes;
  };
  for (const Row& row : std::vector<Row>{{DType::kQ4_0, "Q4_0", 32, 2 + 32 * 4 / 8},
                                         {DType::kQ4_1, "Q4_1", 32, 2 + 2 + 32 * 4 / 8},
                                         {DType::kQ5_0, "Q5_0", 32, 2 + 32 * 5 / 8},
                                         {DType::kQ5_1, "Q5_1", 32, 2 + 2 + 32 * 5 / 8},
                                         {DType::kQ8_0, "Q8_0", 32, 2 + 32},
                                         {DType::kQ4_K, "Q4_K", 256, 2 + 2 + 12 + 256 * 4 / 8},
                                         {DType::kQ5_K, "Q5_K", 256, 2 + 2 + 12 + 256 * 5 / 8},
                                         {DType::kQ6_K, "Q6_K", 256, 2 + 16 + 256 * 6 / 8}}) {
    EXPECT_EQ(dtype_name(row.dtype), row.name);
    EXPECT_EQ(dtype_block_elements(row.dtype), row.n_elements);
    EXPECT_EQ(dtype_bytes(row.dtype), row.n_bytes);
  }
  EXPECT_EQ(dtype_block_elements(DType::kF32), 1);
}

}  // namespace
}  // namespace lille
