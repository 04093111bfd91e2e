#include <fmt/format.h>

#include <limits>

#include "kernels/kernel_cases.h"

namespace lille::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// How far apart two floats are, in steps of representable values; NaN equals NaN.
int64_t ulps_between(float a, float b) {
  if (std::isnan(a) || std::isnan(b))
    return std::isnan(a) && std::isnan(b) ? 0 : std::numeric_limits<int32_t>::max();
  const auto ordered = [](float value) {
    const auto bits = std::bit_cast<int32_t>(value);
    return bits < 0 ? int64_t{std::numeric_limits<int32_t>::min()} - bits : int64_t{bits};
  };
  return std::abs(ordered(a) - ordered(b));
}

using Dequantize = EveryTable;

void expect_reference_rows(const KernelTable& table, const Storage& storage) {
  for (const int64_t n_in : {1, 7, 8, 31, 32, 64, 96, 127, 256, 640, 1792}) {
    if (!fits(storage, n_in)) continue;
    const OddMatrix matrix = random_matrix(storage, 5, n_in, 17);
    for (int64_t row = 0; row < 5; ++row) {
      std::vector<float> actual(static_cast<std::size_t>(n_in));
      std::vector<float> expected(actual.size());
      table.dequantize_row(actual.data(), matrix.view, row);
      reference_table().dequantize_row(expected.data(), matrix.view, row);
      expect_same_bits(actual, expected, fmt::format("{} n_in {} row {}", storage_text(storage), n_in, row));
    }
  }
}

TEST_P(Dequantize, RowsAreTheReferencesBits) {
  for (const WeightKind kind : {WeightKind::kF32, WeightKind::kF16, WeightKind::kBF16})
    expect_reference_rows(table(), {.kind = kind});
  for (const WeightKind kind : kBlockKinds) expect_reference_rows(table(), {.kind = kind});
  for (const FloatKind scale_kind : {FloatKind::kF32, FloatKind::kF16, FloatKind::kBF16})
    for (const int64_t group_size : {32, 64, 128})
      for (const int64_t bits : kAffineBits)
        expect_reference_rows(table(), {WeightKind::kAffine, scale_kind, group_size, bits});
  for (const Storage& storage : packed_storages()) expect_reference_rows(table(), storage);
}

TEST_P(Dequantize, EveryHalfIsExact) {
  for (const FloatKind kind : {FloatKind::kF16, FloatKind::kBF16}) {
    std::vector<uint16_t> halves(65536);
    for (std::size_t bits = 0; bits < halves.size(); ++bits) halves[bits] = static_cast<uint16_t>(bits);
    const WeightMatrix matrix = {.kind = kind == FloatKind::kF16 ? WeightKind::kF16 : WeightKind::kBF16,
                                 .data = halves.data(),
                                 .n_out = 1,
                                 .n_in = 65536};
    std::vector<float> actual(halves.size());
    table().dequantize_row(actual.data(), matrix, 0);
    for (std::size_t bits = 0; bits < halves.size(); ++bits) {
      const float expected = kind == FloatKind::kF16 ? f16_to_f32(halves[bits]) : bf16_to_f32(halves[bits]);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(actual[bits])) << bits;
      } else {
        ASSERT_EQ(std::bit_cast<uint32_t>(actual[bits]), std::bit_cast<uint32_t>(expected)) << bits;
      }
    }
  }
}

LILLE_FOR_EVERY_TABLE(Dequantize);

using RmsNorm = EveryTable;

TEST_P(RmsNorm, EqualsTheReference) {
  for (const FloatKind kind : {FloatKind::kF32, FloatKind::kF16, FloatKind::kBF16})
    for (int64_t n = 1; n <= 700; n = n < 70 ? n + 1 : n + 63)
      for (const float scale : {1e-5f, 1.0f, 1e3f}) {
        const std::vector<float> x =
            random_floats(static_cast<std::size_t>(n), static_cast<uint32_t>(n), scale);
        OddBytes weight = encode_floats(random_floats(x.size(), 3), kind);
        std::vector<float> actual(x.size());
        std::vector<float> expected(x.size());
        table().rms_norm(actual.data(), x.data(), weight.data(), kind, n, 1e-5f);
        reference_table().rms_norm(expected.data(), x.data(), weight.data(), kind, n, 1e-5f);
        // n/8 + 3 roundings of positive terms, halved by the root, and five more of single operations.
        const double relative = (static_cast<double>(n) / 16 + 8) * kRoundoff;
        for (std::size_t idx = 0; idx < x.size(); ++idx)
          ASSERT_NEAR(actual[idx], expected[idx], relative * std::abs(expected[idx]))
              << table().name << " n " << n << " scale " << scale << " element " << idx;
        std::vector<float> in_place = x;
        table().rms_norm(in_place.data(), in_place.data(), weight.data(), kind, n, 1e-5f);
        expect_same_bits(in_place, actual, "in place");
      }
}

TEST_P(RmsNorm, ZerosAreFiniteAndNaNSpreads) {
  std::vector<float> x(33, 0.0f);
  const std::vector<float> weight(33, 2.0f);
  std::vector<float> out(33, 1.0f);
  table().rms_norm(out.data(), x.data(), weight.data(), FloatKind::kF32, 33, 1e-5f);
  for (const float value : out) EXPECT_EQ(value, 0.0f);
  x[32] = kNaN;
  table().rms_norm(out.data(), x.data(), weight.data(), FloatKind::kF32, 33, 1e-5f);
  for (const float value : out) EXPECT_TRUE(std::isnan(value));
}

LILLE_FOR_EVERY_TABLE(RmsNorm);

using Swiglu = EveryTable;

/// Gates on a grid through everything silu distinguishes: both signs, subnormal results of exp, overflow of
/// exp.
std::vector<float> gate_grid() {
  std::vector<float> gates = {0.0f,           -0.0f,     kInf,       -kInf,     kNaN,   1e-45f,
                              -1e-45f,        1e-38f,    -1e-38f,    1e30f,     -1e30f, 3.4028235e38f,
                              -3.4028235e38f, 88.72284f, -88.72284f, -87.33655f};
  for (float gate = -130.0f; gate < 130.0f; gate += 0.013f) gates.push_back(gate);
  return gates;
}

TEST_P(Swiglu, EqualsTheReferenceEverywhere) {
  const std::vector<float> gate = gate_grid();
  const std::vector<float> up(gate.size(), 1.0f);
  std::vector<float> actual(gate.size());
  std::vector<float> expected(gate.size());
  table().swiglu(actual.data(), gate.data(), up.data(), static_cast<int64_t>(gate.size()));
  reference_table().swiglu(expected.data(), gate.data(), up.data(), static_cast<int64_t>(gate.size()));
  // exp is within 2 units; the sum, the quotient and the product add half a unit each.
  for (std::size_t idx = 0; idx < gate.size(); ++idx) {
    // Beyond -88.7 the divisor exp(-x) exceeds the largest float: results below 3e-37 may come out as 0.
    if (gate[idx] < -88.0f) {
      ASSERT_NEAR(actual[idx], expected[idx], 3e-37) << table().name << " gate " << gate[idx];
    } else {
      ASSERT_LE(ulps_between(actual[idx], expected[idx]), 4)
          << table().name << " gate " << gate[idx] << ": " << actual[idx] << ", expected " << expected[idx];
    }
  }
  EXPECT_EQ(expected[3], 0.0f);
  EXPECT_EQ(expected[2], kInf);
}

TEST_P(Swiglu, PlaceInTheRowDoesNotChangeTheBits) {
  const std::vector<float> gate = random_floats(100, 8, 5.0f);
  const std::vector<float> up = random_floats(100, 9);
  std::vector<float> whole(100);
  table().swiglu(whole.data(), gate.data(), up.data(), 100);
  for (int64_t n = 1; n <= 100; ++n) {
    std::vector<float> part(100, -7.0f);
    table().swiglu(part.data(), gate.data(), up.data(), n);
    std::vector<float> expected(100, -7.0f);
    std::copy(whole.begin(), whole.begin() + n, expected.begin());
    expect_same_bits(part, expected, fmt::format("first {}", n));
  }
  std::vector<float> in_place = gate;
  table().swiglu(in_place.data(), in_place.data(), up.data(), 100);
  expect_same_bits(in_place, whole, "out is gate");
  in_place = up;
  table().swiglu(in_place.data(), gate.data(), in_place.data(), 100);
  expect_same_bits(in_place, whole, "out is up");
}

LILLE_FOR_EVERY_TABLE(Swiglu);

using Add = EveryTable;

TEST_P(Add, IsOneRoundedSum) {
  for (int64_t n = 1; n <= 70; ++n) {
    std::vector<float> x = random_floats(80, static_cast<uint32_t>(n));
    const std::vector<float> y = random_floats(80, 1000);
    std::vector<float> expected = x;
    for (std::size_t idx = 0; idx < static_cast<std::size_t>(n); ++idx) expected[idx] = x[idx] + y[idx];
    table().add(x.data(), y.data(), n);
    expect_same_bits(x, expected, fmt::format("n {}", n));
  }
}

LILLE_FOR_EVERY_TABLE(Add);

using LogSumExp = EveryTable;

TEST_P(LogSumExp, EqualsTheReference) {
  for (const int64_t n : {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 331, 4096, 32768})
    for (const float scale : {0.01f, 1.0f, 30.0f}) {
      std::vector<float> x = random_floats(static_cast<std::size_t>(n), 12, scale);
      x[0] = -kInf;
      if (n == 1) x[0] = 3.0f;
      ASSERT_NEAR(table().log_sum_exp(x.data(), n), reference_table().log_sum_exp(x.data(), n), 3e-7)
          << table().name << " n " << n << " scale " << scale;
    }
}

TEST_P(LogSumExp, ExtremesHaveTheirLimits) {
  const int64_t n = 37;
  std::vector<float> x(static_cast<std::size_t>(n), -kInf);
  EXPECT_EQ(table().log_sum_exp(x.data(), n), -double{kInf});
  x[36] = 2.5f;
  EXPECT_NEAR(table().log_sum_exp(x.data(), n), 2.5, 1e-12);
  x[20] = kInf;
  EXPECT_EQ(table().log_sum_exp(x.data(), n), double{kInf});
  for (const std::size_t where : {std::size_t{0}, std::size_t{17}, std::size_t{36}}) {
    std::vector<float> with_nan(static_cast<std::size_t>(n), 1.0f);
    with_nan[where] = kNaN;
    EXPECT_TRUE(std::isnan(table().log_sum_exp(with_nan.data(), n))) << where;
    std::vector<float> x_nan = x;
    x_nan[where] = kNaN;
    EXPECT_TRUE(std::isnan(table().log_sum_exp(x_nan.data(), n))) << where;
  }
  std::fill(x.begin(), x.end(), kNaN);
  EXPECT_TRUE(std::isnan(table().log_sum_exp(x.data(), n)));
  std::fill(x.begin(), x.end(), 3e38f);
  EXPECT_NEAR(table().log_sum_exp(x.data(), n), double{3e38f}, 1e32);
}

LILLE_FOR_EVERY_TABLE(LogSumExp);

using Argmax = EveryTable;

TEST_P(Argmax, TakesTheLowestOfEquals) {
  for (int64_t n = 1; n <= 70; ++n)
    for (int64_t first = 0; first < n; ++first) {
      std::vector<float> x(static_cast<std::size_t>(n), -1.0f);
      x[static_cast<std::size_t>(first)] = 2.0f;
      x[static_cast<std::size_t>(n - 1)] = 2.0f;
      ASSERT_EQ(table().argmax(x.data(), n), first) << table().name << " n " << n;
    }
  const std::vector<float> zeros = {-0.0f, 0.0f};
  EXPECT_EQ(table().argmax(zeros.data(), 2), 0);
}

TEST_P(Argmax, NaNNeverWins) {
  std::vector<float> x(40, kNaN);
  EXPECT_EQ(table().argmax(x.data(), 40), 0);
  x[33] = -kInf;
  EXPECT_EQ(table().argmax(x.data(), 40), 33);
  x[39] = -5.0f;
  EXPECT_EQ(table().argmax(x.data(), 40), 39);
  x[12] = kInf;
  EXPECT_EQ(table().argmax(x.data(), 40), 12);
  const std::vector<float> all_lowest(20, -kInf);
  EXPECT_EQ(table().argmax(all_lowest.data(), 20), 0);
}

LILLE_FOR_EVERY_TABLE(Argmax);

}  // namespace
}  // namespace lille::kernels
