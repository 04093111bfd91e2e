#include <fmt/format.h>

#include <array>

#include "kernels/kernel_cases.h"
#include "kernels/simd/tile_bf16.inl.h"

namespace lille::kernels::tile_bf16 {
namespace {

/// A plain twin of AMX's tiles of bfloat16, bit for bit.
/// Source: Intel Architecture Instruction Set Extensions Programming Reference, TDPBF16PS.
class TwinUnit {
 public:
  TwinUnit(const int64_t (&outs)[2], const int64_t (&rows)[2]) {
    for (std::size_t panel = 0; panel < 2; ++panel) {
      tile(simd::bf16_weights(static_cast<int>(panel))) = {outs[panel], 64};
      for (std::size_t group = 0; group < 2; ++group)
        tile(simd::bf16_sums(static_cast<int>(panel), static_cast<int>(group))) = {outs[panel],
                                                                                   4 * rows[group]};
    }
    for (std::size_t group = 0; group < 2; ++group)
      tile(simd::bf16_x(static_cast<int>(group))) = {16, 4 * rows[group]};
  }

  template <int kTile>
  static void zero() {
    tile(kTile).bytes = {};
  }
  template <int kTile>
  static void load(const void* from, int64_t stride) {
    for (int64_t row = 0; row < tile(kTile).n_rows; ++row)
      std::memcpy(tile(kTile).row(row), static_cast<const std::byte*>(from) + row * stride,
                  static_cast<std::size_t>(tile(kTile).row_bytes));
  }
  template <int kTile>
  static void store(void* to, int64_t stride) {
    for (int64_t row = 0; row < tile(kTile).n_rows; ++row)
      std::memcpy(static_cast<std::byte*>(to) + row * stride, tile(kTile).row(row),
                  static_cast<std::size_t>(tile(kTile).row_bytes));
  }
  template <int kSums, int kWeights, int kX>
  static void multiply() {
    for (int64_t out_idx = 0; out_idx < tile(kSums).n_rows; ++out_idx)
      for (int64_t row = 0; row < tile(kSums).row_bytes / 4; ++row) {
        float parts[2] = {};
        for (int64_t pair = 0; pair < 16; ++pair)
          for (int64_t idx = 0; idx < 2; ++idx)
            parts[idx] = normal(std::fma(element(tile(kWeights), out_idx, 2 * pair + idx),
                                         element(tile(kX), pair, 2 * row + idx), parts[idx]));
        std::byte* at = tile(kSums).row(out_idx) + 4 * row;
        const float sum = normal(normal(load_unaligned<float>(at)) + normal(parts[0] + parts[1]));
        std::memcpy(at, &sum, sizeof(sum));
      }
  }
  static void store_rows(float* out, int64_t out_stride, const float* sums, int64_t n_rows, int64_t n_outs) {
    for (int64_t row = 0; row < n_rows; ++row)
      for (int64_t out_idx = 0; out_idx < n_outs; ++out_idx)
        out[row * out_stride + out_idx] = sums[out_idx * simd::kBf16TileRows + row];
  }

 private:
  struct Tile {
    int64_t n_rows = 0;
    int64_t row_bytes = 0;
    std::array<std::byte, 1024> bytes = {};

    std::byte* row(int64_t idx) { return bytes.data() + 64 * idx; }
  };

  static Tile& tile(int idx) {
    static std::array<Tile, 8> tiles;
    return tiles[static_cast<std::size_t>(idx)];
  }
  /// Subnormal numbers are zero.
  static float normal(float value) {
    return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0f, value) : value;
  }
  static float element(Tile& tile, int64_t row, int64_t idx) {
    return normal(bf16_to_f32(load_unaligned<uint16_t>(tile.row(row) + 2 * idx)));
  }
};

/// Two columns of all rows of the group, then the next two.
void round_twin(void* to, int64_t to_stride, const float* x, int64_t x_stride, int64_t n_rows,
                int64_t n_in) noexcept {
  for (int64_t row = 0; row < n_rows; ++row)
    for (int64_t col = 0; col < to_stride; ++col)
      static_cast<uint16_t*>(to)[(col / 2 * n_rows + row) * 2 + col % 2] =
          f32_to_bf16(col < n_in ? x[row * x_stride + col] : 0.0f);
}

void multiply_twin(const MatmulBf16Args& args) noexcept {
  simd::matmul_tiles<TwinUnit>({.out = args.out,
                                .out_stride = args.out_stride,
                                .x = static_cast<const uint16_t*>(args.x),
                                .x_stride = args.x_stride,
                                .n_rows = args.n_rows,
                                .weight = args.weight,
                                .out_begin = args.out_begin,
                                .out_end = args.out_end,
                                .scratch = args.scratch});
}

constexpr Bf16Kernels kTwin = {.x_bytes = 2,
                               .group_rows = simd::kBf16TileRows,
                               .round = round_twin,
                               .matmul = multiply_twin,
                               .peak = nullptr};

constexpr int64_t kOuts = 70;
constexpr int64_t kRows = 70;
constexpr float kUntouched = -12345.0f;

struct Product {
  OddMatrix matrix;
  std::vector<float> x;

  explicit Product(int64_t n_in)
      : matrix(random_matrix({.kind = WeightKind::kBF16}, kOuts, n_in, static_cast<uint32_t>(n_in))),
        x(random_floats(static_cast<std::size_t>(kRows * n_in), 7)) {}

  std::vector<float> multiply(const Bf16Kernels& kernels, int64_t n_rows, int64_t out_begin,
                              int64_t out_end) const {
    const RoundedRows rounded(kernels, x.data(), matrix.view.n_in, n_rows, matrix.view.n_in);
    std::vector<float> out(static_cast<std::size_t>(kRows * kOuts), kUntouched);
    std::vector<float> scratch(static_cast<std::size_t>(matrix.view.n_in));
    kernels.matmul({.out = out.data(),
                    .out_stride = kOuts,
                    .x = rounded.data(),
                    .x_stride = rounded.stride(),
                    .n_rows = n_rows,
                    .weight = matrix.view,
                    .out_begin = out_begin,
                    .out_end = out_end,
                    .scratch = scratch.data()});
    return out;
  }
};

constexpr int64_t kWidths[] = {1, 2, 31, 32, 33, 63, 64, 97, 160};

/// The numbers of rows and the ranges of outputs that fill tiles and pairs of them, or do not.
template <typename Use>
void for_shapes(Use use) {
  for (const int64_t n_rows : {1, 2, 15, 16, 17, 31, 32, 33, 48, 49, 64, 70})
    for (const auto& [begin, end] :
         {std::pair<int64_t, int64_t>{0, kOuts}, {0, 1}, {3, 19}, {5, 38}, {6, 38}, {60, 70}})
      use(n_rows, begin, end);
}

TEST(TileBf16, EqualsTheReference) {
  for (const int64_t n_in : kWidths) {
    const Product product(n_in);
    const std::vector<float> out = product.multiply(kTwin, kRows, 0, kOuts);
    const std::vector<float> expected = product.multiply(reference_table().bf16, kRows, 0, kOuts);
    std::vector<float> weights(static_cast<std::size_t>(n_in));
    for (int64_t out_idx = 0; out_idx < kOuts; ++out_idx) {
      reference_table().dequantize_row(weights.data(), product.matrix.view, out_idx);
      // The 16 products of a part, both parts, n_in/32 sums of them and the reference's result, each off by
      // one roundoff of a partial sum that is at most |x| * |w|.
      const double roundoff = static_cast<double>(n_in / 32 + 20) * kRoundoff * norm(weights.data(), n_in);
      for (int64_t row = 0; row < kRows; ++row) {
        const auto at = static_cast<std::size_t>(row * kOuts + out_idx);
        ASSERT_NEAR(out[at], expected[at], roundoff * norm(product.x.data() + row * n_in, n_in))
            << n_in << ": row " << row << ", output " << out_idx;
      }
    }
  }
}

TEST(TileBf16, EveryShapeHasTheBitsOfTheWhole) {
  for (const int64_t n_in : {33, 64}) {
    const Product product(n_in);
    const std::vector<float> whole = product.multiply(kTwin, kRows, 0, kOuts);
    for_shapes([&](int64_t n_rows, int64_t begin, int64_t end) {
      std::vector<float> expected(whole.size(), kUntouched);
      for (int64_t row = 0; row < n_rows; ++row)
        for (int64_t out_idx = begin; out_idx < end; ++out_idx) {
          const auto at = static_cast<std::size_t>(row * kOuts + out_idx);
          expected[at] = whole[at];
        }
      expect_same_bits(product.multiply(kTwin, n_rows, begin, end), expected,
                       fmt::format("n_in {} rows {}, outputs {} to {}", n_in, n_rows, begin, end));
    });
  }
}

// Where the processor has the unit.
class BesideTheUnit : public EveryTable {};

std::vector<const KernelTable*> tables_of_the_unit() {
  std::vector<const KernelTable*> tables = supported_kernel_tables();
  std::erase_if(tables, [](const KernelTable* table) { return table->name != "amx"; });
  return tables;
}

INSTANTIATE_TEST_SUITE_P(Tables, BesideTheUnit, ::testing::ValuesIn(tables_of_the_unit()), table_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(BesideTheUnit);

TEST_P(BesideTheUnit, TheTwinHasItsBits) {
  for (const int64_t n_in : kWidths) {
    const Product product(n_in);
    for_shapes([&](int64_t n_rows, int64_t begin, int64_t end) {
      const std::string what = fmt::format("n_in {} rows {}, outputs {} to {}", n_in, n_rows, begin, end);
      const RoundedRows rounded(table().bf16, product.x.data(), n_in, n_rows, n_in);
      const RoundedRows expected(kTwin, product.x.data(), n_in, n_rows, n_in);
      EXPECT_TRUE(std::equal(rounded.bytes().begin(), rounded.bytes().end(), expected.bytes().begin()))
          << what;
      expect_same_bits(product.multiply(table().bf16, n_rows, begin, end),
                       product.multiply(kTwin, n_rows, begin, end), what);
    });
  }
}

}  // namespace
}  // namespace lille::kernels::tile_bf16
