#include "ops/rope.h"

#include <fmt/format.h>

#include <array>

#include "ops/ops_cases.h"

namespace lille::ops {
namespace {

const SafetensorsFile& golden_rope() {
  static const SafetensorsFile file(test::source_path("tests/golden/mlx/rope/rope.safetensors"));
  return file;
}

/// (1, n_heads, n_rows, head_dim), as MLX has it, to rows of heads, and back.
std::vector<float> swap_heads_and_rows(const std::vector<float>& from, int64_t n_outer, int64_t n_inner,
                                       int64_t head_dim) {
  std::vector<float> to(from.size());
  for (int64_t outer = 0; outer < n_outer; ++outer)
    for (int64_t inner = 0; inner < n_inner; ++inner)
      std::copy_n(from.begin() + (outer * n_inner + inner) * head_dim, head_dim,
                  to.begin() + (inner * n_outer + outer) * head_dim);
  return to;
}

/// The formulas of docs/ROPE.md, in double, for one head.
std::vector<double> rotated(const float* x, int64_t head_dim, int64_t pos, double theta, RopeLayout layout) {
  std::vector<double> out(static_cast<std::size_t>(head_dim));
  const int64_t half = head_dim / 2;
  for (int64_t j = 0; j < half; ++j) {
    const double angle = static_cast<double>(pos) *
                         std::pow(theta, -2.0 * static_cast<double>(j) / static_cast<double>(head_dim));
    const double cos = std::cos(angle);
    const double sin = std::sin(angle);
    const auto low = static_cast<std::size_t>(layout == RopeLayout::kInterleaved ? 2 * j : j);
    const auto high = static_cast<std::size_t>(layout == RopeLayout::kInterleaved ? 2 * j + 1 : j + half);
    const double even = x[2 * j];
    const double odd = x[2 * j + 1];
    out[low] = x[low] * cos - (layout == RopeLayout::kHalf ? double{x[high]} : odd) * sin;
    out[high] = x[high] * cos + (layout == RopeLayout::kHalf ? double{x[low]} : even) * sin;
  }
  return out;
}

TEST(Rope, InterleavedEqualsMlx) {
  OwnDevice own(best_table());
  for (const int64_t head_dim : {24, 32, 64})
    for (const int64_t base : {10000, 50000})
      for (const int64_t offset : {0, 1, 7, 511}) {
        const std::string suffix = fmt::format("d{}_base{}_off{}", head_dim, base, offset);
        const RopeTable table(516, head_dim, static_cast<double>(base));
        std::vector<float> x =
            swap_heads_and_rows(floats_of(golden_rope().at(fmt::format("x_d{}", head_dim))), 3, 5, head_dim);
        const std::vector<int64_t> positions = {offset, offset + 1, offset + 2, offset + 3, offset + 4};
        rope(own.device, rows_of(x, 5, 3 * head_dim), table, RopeLayout::kInterleaved, positions);
        const std::vector<float> out = swap_heads_and_rows(x, 5, 3, head_dim);
        // MLX computes angles in float32, which alone is 4e-5 at position 511; the second file is exact.
        expect_near(out, floats_of(golden_rope().at("out_" + suffix)), offset == 511 ? 1e-4 : 1e-5, 0,
                    suffix);
        expect_near(out, floats_of(golden_rope().at("ref64_" + suffix)), 1e-5, 0, "ref64 " + suffix);
      }
}

TEST(Rope, EveryLayoutFollowsItsFormula) {
  constexpr int64_t kRows = 60;
  constexpr int64_t kHeads = 5;
  for (const RopeLayout layout : {RopeLayout::kInterleaved, RopeLayout::kHalf, RopeLayout::kOriginal})
    for (const int64_t head_dim : {2, 6, 24, 64}) {
      const std::vector<float> x = random_floats(kRows * kHeads * head_dim, 1);
      std::vector<int64_t> positions;
      for (int64_t row = 0; row < kRows; ++row) positions.push_back(row * 37 % 512);
      const RopeTable table(512, head_dim, 10000.0);
      expect_same_for_any_threads(best_table(), [&](Device& device) {
        std::vector<float> actual = x;
        rope(device, rows_of(actual, kRows, kHeads * head_dim), table, layout, positions);
        for (int64_t head = 0; head < kRows * kHeads; ++head) {
          const int64_t pos = positions[static_cast<std::size_t>(head / kHeads)];
          const std::vector<double> expected =
              rotated(x.data() + head * head_dim, head_dim, pos, 10000.0, layout);
          for (std::size_t dim = 0; dim < expected.size(); ++dim)
            // Two products of values below 5, each with a cosine or sine rounded once.
            EXPECT_NEAR(actual[static_cast<std::size_t>(head * head_dim) + dim], expected[dim], 2e-6)
                << "layout " << static_cast<int>(layout) << " position " << pos << " dim " << dim;
        }
        return actual;
      });
    }
}

TEST(Rope, LayoutsDifferExceptAtPositionZero) {
  OwnDevice own(best_table());
  const RopeTable table(8, 8, 10000.0);
  const std::vector<float> x = random_floats(8, 5);
  for (const int64_t pos : {0, 3}) {
    std::vector<std::vector<float>> outs;
    for (const RopeLayout layout : {RopeLayout::kInterleaved, RopeLayout::kHalf, RopeLayout::kOriginal}) {
      outs.push_back(x);
      const std::array<int64_t, 1> positions = {pos};
      rope(own.device, rows_of(outs.back(), 1, 8), table, layout, positions);
    }
    EXPECT_EQ(outs[0] == outs[1], pos == 0);
    EXPECT_EQ(outs[0] == outs[2], pos == 0);
    EXPECT_EQ(outs[1] == outs[2], pos == 0);
  }
}

TEST(Rope, ColumnsBesideTheHeadsStay) {
  OwnDevice own(best_table());
  const RopeTable table(4, 4, 10000.0);
  std::vector<float> x = random_floats(20, 6);
  const std::vector<float> before = x;
  const std::vector<int64_t> positions = {3, 3};
  rope(own.device, rows_of(x, 2, 10).columns(1, 8), table, RopeLayout::kOriginal, positions);
  for (const std::size_t idx : {0, 9, 10, 19}) EXPECT_EQ(x[idx], before[idx]);
}

TEST(Rope, InputIsChecked) {
  OwnDevice own(best_table());
  const RopeTable table(16, 8, 10000.0);
  std::vector<float> x(64);
  const auto with = [&](int64_t n_cols, std::vector<int64_t> positions) {
    return [&, n_cols, positions] {
      rope(own.device, rows_of(x, 2, n_cols), table, RopeLayout::kHalf, positions);
    };
  };
  test::expect_error(ErrorCode::kInvalidArgument, "expected 0 to 15, got 16", with(16, {0, 16}));
  test::expect_error(ErrorCode::kInvalidArgument, "got -1", with(16, {-1, 0}));
  test::expect_error(ErrorCode::kInvalidShape, "expected 2, one for each row, got 1", with(16, {0}));
  test::expect_error(ErrorCode::kInvalidShape, "multiple of head_dim 8 columns, got 12", with(12, {0, 1}));
  test::expect_error(ErrorCode::kInvalidShape, "even head_dim", [] { RopeTable(16, 7, 10000.0); });
  test::expect_error(ErrorCode::kInvalidShape, "even head_dim", [] { RopeTable(16, 4098, 10000.0); });
  test::expect_error(ErrorCode::kInvalidShape, "block_size >= 1", [] { RopeTable(0, 8, 10000.0); });
  test::expect_error(ErrorCode::kInvalidArgument, "rope_theta", [] { RopeTable(16, 8, 0.0); });
  test::expect_error(ErrorCode::kInvalidArgument, "rope_theta", [] { RopeTable(16, 8, std::nan("")); });
}

}  // namespace
}  // namespace lille::ops
