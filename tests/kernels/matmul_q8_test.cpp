#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <limits>

#include "kernels/q8_cases.h"

namespace lille::kernels {
namespace {

constexpr int64_t kOuts = 35;

std::vector<float> multiply(const KernelTable& table, const OddMatrix& matrix, const Q8Rows& x,
                            int64_t n_rows, int64_t out_begin, int64_t out_end) {
  const int64_t out_stride = matrix.view.n_out + 3;
  std::vector<float> out(static_cast<std::size_t>(n_rows * out_stride), kUntouched);
  std::vector<float> scratch(static_cast<std::size_t>(table.matmul_q8_scratch_floats(matrix.view.n_in)));
  table.matmul_q8({.out = out.data(),
                   .out_stride = out_stride,
                   .x = x,
                   .n_rows = n_rows,
                   .weight = matrix.view,
                   .out_begin = out_begin,
                   .out_end = out_end,
                   .scratch = scratch.data()});
  return out;
}

/// Every number of rows up to more than the tallest tile, and several ranges of columns, against the
/// reference's bits.
void check_matrix(const KernelTable& table, const Storage& storage, int64_t n_in, int64_t max_rows) {
  const OddMatrix matrix = random_matrix(storage, kOuts, n_in, static_cast<uint32_t>(n_in));
  const std::vector<float> x = random_floats(static_cast<std::size_t>(max_rows * n_in), 99);
  const OwnedQ8Rows rows = quantize(table, x, n_in, group_size_of(matrix.view));
  for (int64_t n_rows = 1; n_rows <= max_rows; ++n_rows)
    for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, kOuts}, {0, 1}, {3, 29}, {16, 32}}) {
      expect_same_bits(multiply(table, matrix, rows.view, n_rows, begin, end),
                       multiply(reference_table(), matrix, rows.view, n_rows, begin, end),
                       fmt::format("{} {} n_in {} rows {} outputs {} to {}", table.name,
                                   storage_text(storage), n_in, n_rows, begin, end));
      if (::testing::Test::HasFatalFailure()) return;
    }
}

// Where the codes stand among the bytes of a matrix: in [begin, end) of each period.
struct CodeBytes {
  int64_t n_bytes;
  int64_t period;
  int64_t begin;
  int64_t end;
};

CodeBytes code_bytes(const WeightMatrix& matrix) {
  const int64_t n_bytes = row_bytes(matrix) * kOuts;
  if (matrix.kind == WeightKind::kAffine) return {n_bytes, n_bytes, 0, n_bytes};
  if (matrix.kind == WeightKind::kPacked)
    return {(kOuts + kPackedOuts - 1) / kPackedOuts * packed_panel_bytes(matrix), packed_group_bytes(matrix),
            0, kPackedOuts * matrix.group_size * matrix.bits / 8};
  return {n_bytes, block_bytes(matrix.kind), matrix.kind == WeightKind::kQ8_0 ? 2 : 4,
          block_bytes(matrix.kind)};
}

using MatmulQ8 = EveryTable;

TEST_P(MatmulQ8, QuantizingGivesTheReferencesBits) {
  for (const int64_t group_size : {32, 64, 128})
    for (const int64_t n_in : {32, 64, 96, 128, 160, 640, 1792}) {
      if (n_in % group_size != 0) continue;
      std::vector<float> x = random_floats(static_cast<std::size_t>(3 * n_in), static_cast<uint32_t>(n_in));
      x[3] = 1e30f;
      x[static_cast<std::size_t>(n_in) + 1] = std::numeric_limits<float>::infinity();
      x[static_cast<std::size_t>(2 * n_in) + 5] = std::nanf("");
      // A block of zeros, one of the least floats, halves that tie.
      if (n_in >= 160)
        for (std::size_t idx = 0; idx < 32; ++idx) {
          x[32 + idx] = idx % 2 == 0 ? 0.0f : -0.0f;
          x[64 + idx] = std::numeric_limits<float>::denorm_min();
          x[96 + idx] = idx == 0 ? 127.0f : static_cast<float>(idx) + 0.5f;
        }
      expect_same_rows(quantize(table(), x, n_in, group_size),
                       quantize(reference_table(), x, n_in, group_size),
                       fmt::format("n_in {} group {}", n_in, group_size));
    }
}

TEST_P(MatmulQ8, CodesAreTheNearestAndScalesReachTheLargest) {
  const std::vector<float> x = random_floats(640, 7);
  const OwnedQ8Rows rows = quantize(table(), x, 640, 64);
  for (std::size_t block = 0; block < 20; ++block) {
    float largest = 0;
    int sum = 0;
    for (std::size_t idx = 0; idx < 32; ++idx) {
      const float value = x[32 * block + idx];
      const int code = rows.codes[32 * block + idx];
      largest = std::max(largest, std::abs(value));
      sum += code;
      EXPECT_NEAR(static_cast<float>(code) * rows.scales[block], value, 0.5001f * rows.scales[block]);
    }
    EXPECT_FLOAT_EQ(rows.scales[block] * 127, largest);
    EXPECT_EQ(rows.sums[block], sum);
  }
}

TEST_P(MatmulQ8, AffineWeightsGiveTheReferencesBits) {
  for (const int64_t bits : kAffineBits)
    for (const FloatKind scale_kind : {FloatKind::kF32, FloatKind::kF16, FloatKind::kBF16})
      for (const int64_t group_size : {32, 64, 128})
        for (const int64_t n_in : {32, 64, 96, 128, 256, 640}) {
          const Storage storage = {WeightKind::kAffine, scale_kind, group_size, bits};
          if (!fits(storage, n_in) || (n_in > 128 && scale_kind != FloatKind::kBF16)) continue;
          ASSERT_NO_FATAL_FAILURE(check_matrix(table(), storage, n_in, n_in == 96 ? 29 : 6));
        }
}

TEST_P(MatmulQ8, PackedWeightsGiveTheReferencesBits) {
  for (const Storage& storage : packed_storages())
    for (const int64_t n_in : {32, 64, 96, 128, 256, 640}) {
      if (!fits(storage, n_in) || (n_in > 128 && storage.scale_kind != FloatKind::kBF16)) continue;
      ASSERT_NO_FATAL_FAILURE(check_matrix(table(), storage, n_in, n_in == 96 ? 29 : 6));
    }
}

TEST_P(MatmulQ8, BlocksGiveTheReferencesBits) {
  for (const WeightKind kind : kBlockKinds) {
    if (!takes_q8(kind)) continue;
    for (const int64_t n_in : {32, 64, 96, 128, 160, 640})
      ASSERT_NO_FATAL_FAILURE(check_matrix(table(), {.kind = kind}, n_in, n_in == 160 ? 29 : 6));
  }
}

/// As check_matrix, for some numbers of rows.
void check_many_rows(const KernelTable& table, const Storage& storage, int64_t n_in,
                     std::initializer_list<int64_t> numbers_of_rows) {
  const int64_t max_rows = std::max(numbers_of_rows);
  const OddMatrix matrix = random_matrix(storage, kOuts, n_in, 97);
  const std::vector<float> x = random_floats(static_cast<std::size_t>(max_rows * n_in), 98);
  const OwnedQ8Rows rows = quantize(table, x, n_in, group_size_of(matrix.view));
  const std::vector<float> expected = multiply(reference_table(), matrix, rows.view, max_rows, 0, kOuts);
  for (const int64_t n_rows : numbers_of_rows)
    expect_same_bits(multiply(table, matrix, rows.view, n_rows, 0, kOuts),
                     {expected.begin(), expected.begin() + n_rows * (kOuts + 3)},
                     fmt::format("{} {} n_in {} rows {}", table.name, storage_text(storage), n_in, n_rows));
}

// As many rows as units of tiles are used for, whole tiles of them or not.
TEST_P(MatmulQ8, ManyRowsGiveTheReferencesBits) {
  for (const int64_t bits : {4, 8})
    check_many_rows(table(), {WeightKind::kPacked, FloatKind::kBF16, 32, bits}, 96, {48, 50, 64});
  for (const int64_t bits : kAffineBits)
    check_many_rows(table(), {WeightKind::kAffine, FloatKind::kBF16, 32, bits}, 96, {48, 50, 64});
  for (const WeightKind kind : kBlockKinds)
    if (takes_q8(kind)) check_many_rows(table(), {.kind = kind}, 96, {48, 50, 64});
}

// More rows than are multiplied by one panel after the other.
TEST_P(MatmulQ8, PartsOfRowsGiveTheReferencesBits) {
  check_many_rows(table(), {WeightKind::kPacked, FloatKind::kF16, 64, 8}, 640, {50, 64});
  check_many_rows(table(), {WeightKind::kPacked, FloatKind::kF16, 32, 4}, 32, {150});
  check_many_rows(table(), {.kind = WeightKind::kQ8_0}, 32, {150});
}

// More columns than are laid out at a time, groups that do not divide them, and a part of them at the end.
TEST_P(MatmulQ8, PartsOfColumnsGiveTheReferencesBits) {
  for (const int64_t group_size : {32, 64, 128})
    for (const int64_t bits : {4, 8})
      check_many_rows(table(), {WeightKind::kPacked, FloatKind::kBF16, group_size, bits}, 1408, {3, 5, 100});
  for (const int64_t bits : {3, 5, 8})
    check_many_rows(table(), {WeightKind::kAffine, FloatKind::kBF16, 64, bits}, 1344, {3, 5, 100});
  for (const WeightKind kind : kBlockKinds)
    if (takes_q8(kind)) check_many_rows(table(), {.kind = kind}, 1312, {3, 5, 100});
}

// The largest and the least codes against the largest activations of either sign: no sum of integers
// overflows, whatever kernels take off the codes first.
TEST_P(MatmulQ8, TheOutermostCodesAreSummedExactly) {
  std::vector<Storage> storages = {{.kind = WeightKind::kQ8_0}, {.kind = WeightKind::kQ5_1}};
  for (const int64_t bits : kAffineBits) storages.push_back({WeightKind::kAffine, FloatKind::kF32, 64, bits});
  for (const Storage& packed : packed_storages()) storages.push_back(packed);
  for (const Storage& storage : storages)
    for (const int code : {0x00, 0x80, 0xff}) {
      OddMatrix matrix = random_matrix(storage, kOuts, 128, 1);
      // Scales stand before or behind the codes, and a mix of bytes would be no finite one.
      const CodeBytes codes = code_bytes(matrix.view);
      for (int64_t idx = 0; idx < codes.n_bytes; ++idx)
        if (idx % codes.period >= codes.begin && idx % codes.period < codes.end)
          matrix.data.data()[idx] = static_cast<std::byte>(code);
      for (const float value : {1.0f, -1.0f}) {
        const std::vector<float> x(128 * 24, value);
        const OwnedQ8Rows rows = quantize(table(), x, 128, group_size_of(matrix.view));
        // Rows are alike.
        const std::vector<float> expected = multiply(reference_table(), matrix, rows.view, 1, 0, kOuts);
        for (const int64_t n_rows : {1, 3, 24}) {
          const std::vector<float> actual = multiply(table(), matrix, rows.view, n_rows, 0, kOuts);
          for (auto row = actual.begin(); row != actual.end(); row += kOuts + 3)
            expect_same_bits({row, row + kOuts + 3}, expected,
                             fmt::format("{} {} bytes {}", table().name, storage_text(storage), code));
        }
      }
    }
}

// What rounding the activations costs: half a step of each block's scale for each weight.
TEST_P(MatmulQ8, StaysWithinTheRoundingOfActivations) {
  for (const Storage& storage : {Storage{WeightKind::kAffine, FloatKind::kBF16, 64, 8},
                                 Storage{WeightKind::kAffine, FloatKind::kBF16, 64, 4},
                                 Storage{.kind = WeightKind::kQ8_0}, Storage{.kind = WeightKind::kQ5_1}}) {
    const OddMatrix matrix = random_matrix(storage, kOuts, 640, 4);
    const std::vector<float> x = random_floats(640, 5);
    const OwnedQ8Rows rows = quantize(table(), x, 640, group_size_of(matrix.view));
    const std::vector<float> products = multiply(table(), matrix, rows.view, 1, 0, kOuts);
    std::vector<float> weights(640);
    for (int64_t out_idx = 0; out_idx < kOuts; ++out_idx) {
      reference_table().dequantize_row(weights.data(), matrix.view, out_idx);
      double exact = 0;
      double allowed = 1e-4;
      for (std::size_t col = 0; col < 640; ++col) {
        exact += double{weights[col]} * double{x[col]};
        allowed += 0.5001 * double{rows.scales[col / 32]} * std::abs(double{weights[col]});
      }
      EXPECT_NEAR(products[static_cast<std::size_t>(out_idx)], exact, allowed) << storage_text(storage);
    }
  }
}

TEST_P(MatmulQ8, NaNAndInfinityStayInTheirRow) {
  const OddMatrix matrix = random_matrix({WeightKind::kAffine, FloatKind::kF16, 32, 8}, kOuts, 96, 3);
  std::vector<float> x = random_floats(5 * 96, 4);
  const OwnedQ8Rows clean_rows = quantize(table(), x, 96, 32);
  x[3 * 96 + 95] = std::numeric_limits<float>::infinity();
  const OwnedQ8Rows dirty_rows = quantize(table(), x, 96, 32);
  const std::vector<float> clean = multiply(table(), matrix, clean_rows.view, 5, 0, kOuts);
  const std::vector<float> dirty = multiply(table(), matrix, dirty_rows.view, 5, 0, kOuts);
  for (std::size_t row = 0; row < 5; ++row)
    for (std::size_t out_idx = 0; out_idx < kOuts; ++out_idx) {
      const std::size_t at = row * (kOuts + 3) + out_idx;
      if (row == 3) {
        EXPECT_TRUE(std::isnan(dirty[at]));
      } else {
        EXPECT_EQ(dirty[at], clean[at]);
      }
    }
}

LILLE_FOR_EVERY_TABLE(MatmulQ8);

}  // namespace
}  // namespace lille::kernels
