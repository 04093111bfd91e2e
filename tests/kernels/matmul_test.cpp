#include <fmt/format.h>

#include "kernels/kernel_cases.h"

namespace lille::kernels {
namespace {

constexpr int64_t kMaxRows = 17;
constexpr int64_t kOuts = 11;

/// Runs matmul into a matrix whose other elements keep a value that no product has.
constexpr float kUntouched = -12345.0f;

struct Product {
  std::vector<float> out;
  int64_t out_stride = 0;
};

/// Which product: that of float32, or the one whose activations are rounded to bfloat16 first.
enum class Activations { kF32, kBF16 };

Product multiply(const KernelTable& table, const OddMatrix& matrix, const std::vector<float>& x,
                 int64_t n_rows, int64_t out_begin, int64_t out_end, Activations activations) {
  // Strides wider than the rows, so that a kernel that ignores them is noticed.
  const int64_t x_stride = static_cast<int64_t>(x.size()) / kMaxRows;
  Product product;
  product.out_stride = matrix.view.n_out + 3;
  product.out.assign(static_cast<std::size_t>(kMaxRows * product.out_stride), kUntouched);
  std::vector<float> scratch(static_cast<std::size_t>(table.matmul_scratch_floats(matrix.view.n_in)));
  const auto with = [&]<typename X>(const X* rows) {
    return MatmulArgsOf<X>{.out = product.out.data(),
                           .out_stride = product.out_stride,
                           .x = rows,
                           .x_stride = x_stride,
                           .n_rows = n_rows,
                           .weight = matrix.view,
                           .out_begin = out_begin,
                           .out_end = out_end,
                           .scratch = scratch.data()};
  };
  if (activations == Activations::kF32) {
    table.matmul(with(x.data()));
  } else {
    const RoundedRows rounded(table.bf16, x.data(), x_stride, n_rows, matrix.view.n_in);
    MatmulBf16Args args = with(rounded.data());
    args.x_stride = rounded.stride();
    table.bf16.matmul(args);
  }
  return product;
}

/// A chain of n/8 additions (the narrowest lanes), 3 to fold them and the rounding of the result, each off by
/// one roundoff of a partial sum that is at most |x| * |w| (Cauchy-Schwarz).
double tolerance(const float* x, const float* weight_row, int64_t n_in) {
  return static_cast<double>(n_in / 8 + 6) * kRoundoff * norm(x, n_in) * norm(weight_row, n_in);
}

void expect_near_reference(const KernelTable& table, const OddMatrix& matrix, const std::vector<float>& x,
                           const Product& product, Activations activations, const std::string& what) {
  const int64_t n_in = matrix.view.n_in;
  const int64_t x_stride = static_cast<int64_t>(x.size()) / kMaxRows;
  const Product expected =
      multiply(reference_table(), matrix, x, kMaxRows, 0, matrix.view.n_out, activations);
  std::vector<float> weight_row(static_cast<std::size_t>(n_in));
  for (int64_t out_idx = 0; out_idx < matrix.view.n_out; ++out_idx) {
    reference_table().dequantize_row(weight_row.data(), matrix.view, out_idx);
    for (int64_t row = 0; row < kMaxRows; ++row) {
      const auto at = static_cast<std::size_t>(row * product.out_stride + out_idx);
      const double allowed = tolerance(x.data() + row * x_stride, weight_row.data(), n_in);
      ASSERT_NEAR(product.out[at], expected.out[at], allowed)
          << table.name << ' ' << what << ": row " << row << ", output " << out_idx;
    }
  }
}

/// Every number of rows and several column ranges must give the bits that the whole product has, and touch no
/// more.
void expect_one_answer(const KernelTable& table, const OddMatrix& matrix, const std::vector<float>& x,
                       const Product& whole, Activations activations, const std::string& what) {
  const int64_t n_out = matrix.view.n_out;
  const std::pair<int64_t, int64_t> ranges[] = {
      {0, n_out}, {0, 1}, {1, n_out}, {n_out / 2, n_out / 2 + 3}, {4, 8}};
  for (int64_t n_rows = 1; n_rows <= kMaxRows; ++n_rows) {
    for (const auto& [out_begin, out_end] : ranges) {
      const Product part = multiply(table, matrix, x, n_rows, out_begin, out_end, activations);
      std::vector<float> expected(part.out.size(), kUntouched);
      for (int64_t row = 0; row < n_rows; ++row)
        for (int64_t out_idx = out_begin; out_idx < out_end; ++out_idx) {
          const auto at = static_cast<std::size_t>(row * whole.out_stride + out_idx);
          expected[at] = whole.out[at];
        }
      expect_same_bits(
          part.out, expected,
          fmt::format("{} {} rows {}, outputs {} to {}", table.name, what, n_rows, out_begin, out_end));
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

void check_matrix(const KernelTable& table, const Storage& storage, int64_t n_in,
                  Activations activations = Activations::kF32) {
  const std::string what = fmt::format("{} n_in {}{}", storage_text(storage), n_in,
                                       activations == Activations::kF32 ? "" : " rounded");
  const OddMatrix matrix = random_matrix(storage, kOuts, n_in, static_cast<uint32_t>(n_in));
  const std::vector<float> x = random_floats(static_cast<std::size_t>(kMaxRows * (n_in + 5)), 99);
  const Product whole = multiply(table, matrix, x, kMaxRows, 0, kOuts, activations);
  expect_near_reference(table, matrix, x, whole, activations, what);
  if (::testing::Test::HasFatalFailure()) return;
  expect_one_answer(table, matrix, x, whole, activations, what);
}

std::vector<int64_t> odd_sizes() {
  std::vector<int64_t> sizes;
  for (int64_t n_in = 1; n_in <= 130; ++n_in) sizes.push_back(n_in);
  sizes.push_back(640);
  sizes.push_back(1792);
  return sizes;
}

using Matmul = EveryTable;

TEST_P(Matmul, FloatWeightsEqualTheReferenceInEveryShape) {
  for (const WeightKind kind : {WeightKind::kF32, WeightKind::kF16, WeightKind::kBF16})
    for (const int64_t n_in : odd_sizes())
      ASSERT_NO_FATAL_FAILURE(check_matrix(table(), {.kind = kind}, n_in));
}

TEST_P(Matmul, RoundedActivationsEqualTheReferenceInEveryShape) {
  for (const int64_t n_in : odd_sizes())
    ASSERT_NO_FATAL_FAILURE(check_matrix(table(), {.kind = WeightKind::kBF16}, n_in, Activations::kBF16));
}

TEST_P(Matmul, RoundsToTheNearestBfloat16) {
  const float nan = std::nanf("");
  const float infinity = HUGE_VALF;
  // Ties go to even: 1 + 1/256 lies between 1 and 1 + 1/128, 1 + 3/256 between that and 1 + 1/64.
  std::vector<float> x = {0,   -0.0f,    1 + 0x1p-8f,     1 + 0x3p-8f, 1 + 0x1.8p-8f, -3.14159274f,
                          nan, infinity, 0x1.fffffep+127f};
  std::vector<float> expected = {0, -0.0f, 1, 1 + 0x2p-7f, 1 + 0x1p-7f, -3.140625f, nan, infinity, infinity};
  for (std::size_t n_more = 0; n_more < 40; ++n_more) {
    x.push_back(static_cast<float>(n_more) + 0x1p-9f);
    expected.push_back(static_cast<float>(n_more));
  }
  expected[9] = 0x1p-9f;
  expected[10] = 1;
  const auto n_in = static_cast<int64_t>(x.size());
  const RoundedRows rounded(table().bf16, x.data(), n_in, 1, n_in);
  const auto* bytes = static_cast<const std::byte*>(rounded.data());
  for (std::size_t idx = 0; idx < x.size(); ++idx) {
    const float value = table().bf16.x_bytes == 2 ? bf16_to_f32(load_unaligned<uint16_t>(bytes + 2 * idx))
                                                  : load_unaligned<float>(bytes + 4 * idx);
    if (std::isnan(expected[idx])) {
      EXPECT_TRUE(std::isnan(value)) << x[idx];
    } else {
      EXPECT_EQ(std::bit_cast<uint32_t>(value), std::bit_cast<uint32_t>(expected[idx])) << x[idx];
    }
  }
}

TEST_P(Matmul, AffineWeightsEqualTheReferenceInEveryShape) {
  for (const int64_t bits : kAffineBits)
    for (const FloatKind scale_kind : {FloatKind::kF32, FloatKind::kF16, FloatKind::kBF16})
      for (const int64_t group_size : {32, 64, 128})
        for (const int64_t n_in : {32, 64, 96, 128, 256, 640, 1792}) {
          const Storage storage = {WeightKind::kAffine, scale_kind, group_size, bits};
          // The long rows once for each size of a code: the group's size and the scales' type are in the
          // short ones.
          if (!fits(storage, n_in) || (n_in > 256 && scale_kind != FloatKind::kBF16)) continue;
          ASSERT_NO_FATAL_FAILURE(check_matrix(table(), storage, n_in));
        }
}

TEST_P(Matmul, PackedWeightsEqualTheReferenceInEveryShape) {
  for (const Storage& storage : packed_storages())
    for (const int64_t n_in : {32, 64, 96, 128, 256, 640}) {
      if (!fits(storage, n_in) || (n_in > 128 && storage.scale_kind != FloatKind::kBF16)) continue;
      ASSERT_NO_FATAL_FAILURE(check_matrix(table(), storage, n_in));
    }
}

TEST_P(Matmul, BlocksEqualTheReferenceInEveryShape) {
  for (const WeightKind kind : kBlockKinds)
    for (const int64_t n_in : {32, 64, 96, 128, 160, 256, 512, 640, 768, 1792}) {
      if (!fits({.kind = kind}, n_in)) continue;
      ASSERT_NO_FATAL_FAILURE(check_matrix(table(), {.kind = kind}, n_in));
    }
}

TEST_P(Matmul, ManyRowsCrossBlocksOfRowsWithTheSameBits) {
  const int64_t n_in = 1792;
  const int64_t n_rows = 200;
  const OddMatrix matrix = random_matrix({.kind = WeightKind::kBF16}, 7, n_in, 5);
  const std::vector<float> x = random_floats(static_cast<std::size_t>(n_rows * n_in), 6);
  std::vector<float> scratch(static_cast<std::size_t>(table().matmul_scratch_floats(n_in)));
  MatmulArgs args = {.out = nullptr,
                     .out_stride = 7,
                     .x = x.data(),
                     .x_stride = n_in,
                     .n_rows = n_rows,
                     .weight = matrix.view,
                     .out_begin = 0,
                     .out_end = 7,
                     .scratch = scratch.data()};
  std::vector<float> together(static_cast<std::size_t>(n_rows * 7));
  args.out = together.data();
  table().matmul(args);
  std::vector<float> one_by_one(together.size());
  args.n_rows = 1;
  for (int64_t row = 0; row < n_rows; ++row) {
    args.out = one_by_one.data() + row * 7;
    args.x = x.data() + row * n_in;
    table().matmul(args);
  }
  expect_same_bits(together, one_by_one, "200 rows");
}

TEST_P(Matmul, NaNAndInfinityStayInTheirRow) {
  const OddMatrix matrix = random_matrix({.kind = WeightKind::kF32}, kOuts, 37, 3);
  std::vector<float> x = random_floats(static_cast<std::size_t>(kMaxRows * 37), 4);
  const Product clean = multiply(table(), matrix, x, kMaxRows, 0, kOuts, Activations::kF32);
  x[3 * 37 + 36] = std::nanf("");
  const Product dirty = multiply(table(), matrix, x, kMaxRows, 0, kOuts, Activations::kF32);
  for (int64_t row = 0; row < kMaxRows; ++row)
    for (int64_t out_idx = 0; out_idx < kOuts; ++out_idx) {
      const auto at = static_cast<std::size_t>(row * clean.out_stride + out_idx);
      if (row == 3) {
        EXPECT_TRUE(std::isnan(dirty.out[at]));
      } else {
        EXPECT_EQ(dirty.out[at], clean.out[at]);
      }
    }
}

LILLE_FOR_EVERY_TABLE(Matmul);

}  // namespace
}  // namespace lille::kernels
