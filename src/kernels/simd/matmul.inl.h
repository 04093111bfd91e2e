#pragma once

#include "kernels/simd/dot_tile.inl.h"

namespace lille::kernels::simd {
namespace {

/// Outputs of a panel: the rows of weights that one pass over the rows of x uses.
constexpr int kPanelOuts = 4;

/// Floats of x that are swept for one panel after the other: 384 KiB stay in a level-2 cache of 512 KiB.
constexpr int64_t kRowBlockFloats = 96 * 1024;

template <typename V>
int64_t matmul_scratch_floats(int64_t n_in) noexcept {
  return kPanelOuts * n_in;
}

template <typename V, typename Rows>
void expand(float* out, Rows rows) {
  const int64_t segment_cols = rows.segment_cols();
  int64_t segment_idx = 0;
  for (int64_t begin = 0; begin < rows.n_cols; begin += segment_cols, ++segment_idx) {
    rows.begin_segment(segment_idx);
    const int64_t end = begin + segment_cols;
    for (int idx = 0; idx < Rows::kCount; ++idx) {
      float* row = out + idx * rows.n_cols;
      int64_t col = begin;
      for (; col + V::kLanes <= end; col += V::kLanes) V::store(row + col, rows.load(idx, col));
      if (col < end) V::store_n(row + col, rows.load_n(idx, col, end - col), end - col);
    }
  }
}

/// Calls `use` with a maker of weight rows: make.template operator()<kRows>(RowRange).
template <typename V, typename Use>
void with_rows_of(const WeightMatrix& weight, Use use) {
  const auto floats = [&]<FloatKind kKind>() {
    use([&]<int kRows>(RowRange range) {
      return FloatRows<V, kKind, kRows>(weight.data, weight.n_in, range);
    });
  };
  const auto quantised = [&]<FloatKind kScaleKind>() {
    use([&]<int kRows>(RowRange range) { return QuantisedRows<V, kScaleKind, kRows>(weight, range); });
  };
  switch (weight.kind) {
    case WeightKind::kF32:
      return floats.template operator()<FloatKind::kF32>();
    case WeightKind::kF16:
      return floats.template operator()<FloatKind::kF16>();
    case WeightKind::kBF16:
      return floats.template operator()<FloatKind::kBF16>();
    case WeightKind::kQ8:
      break;
  }
  switch (weight.scale_kind) {
    case FloatKind::kF32:
      return quantised.template operator()<FloatKind::kF32>();
    case FloatKind::kF16:
      return quantised.template operator()<FloatKind::kF16>();
    case FloatKind::kBF16:
      return quantised.template operator()<FloatKind::kBF16>();
  }
}

template <typename V>
void dequantize_row(float* out, const WeightMatrix& weight, int64_t row) noexcept {
  with_rows_of<V>(weight, [&](auto make) { expand<V>(out, make.template operator()<1>({row, row})); });
}

/// The tile of x rows [row, row + n) against outputs [out_idx, ...).
inline TileArgs tile_args(const MatmulArgs& args, int64_t row, int64_t out_idx) {
  return {.out = args.out + row * args.out_stride + out_idx,
          .out_stride = args.out_stride,
          .x = args.x + row * args.x_stride,
          .x_stride = args.x_stride,
          .n_outs = args.out_end - out_idx};
}

/// One row of x: the weights are read once, so they are used as they are stored.
template <typename V, int kOuts, typename Make>
void matmul_one_row(const MatmulArgs& args, Make make) {
  for (int64_t out_idx = args.out_begin; out_idx < args.out_end; out_idx += kOuts)
    dot_tile<V, 1>(tile_args(args, 0, out_idx), make.template operator()<kOuts>({out_idx, args.out_end - 1}));
}

/// Rows [begin, end) of x against a panel, in tiles of nearly equal height.
template <typename V, typename Rows>
inline void matmul_panel(const MatmulArgs& args, int64_t begin, int64_t end, int64_t out_idx,
                         const Rows& rows) {
  int64_t n_tiles = (end - begin + V::kTileRows - 1) / V::kTileRows;
  for (int64_t row = begin; row < end; --n_tiles) {
    const int64_t n_rows = (end - row + n_tiles - 1) / n_tiles;
    dot_rows<V>(tile_args(args, row, out_idx), n_rows, rows);
    row += n_rows;
  }
}

/// Whether a panel of weights is expanded to float32 once, not converted again by every tile of rows. The
/// expanded value is the one that a tile computes in registers, so the bits are the same.
template <typename V>
bool expands_panels(const MatmulArgs& args) {
  if (args.weight.kind == WeightKind::kQ8) return args.n_rows > V::kTileRows;
  return args.weight.kind == WeightKind::kBF16 && args.n_rows >= V::kExpandBf16Rows;
}

/// Several rows of x, a block of them at a time, so that the block stays in the cache while panels pass by.
template <typename V, typename Make>
void matmul_rows(const MatmulArgs& args, Make make) {
  const int64_t n_in = args.weight.n_in;
  const int64_t block_tiles = kRowBlockFloats / (n_in * V::kTileRows);
  const int64_t block_rows = (block_tiles < 1 ? 1 : block_tiles) * V::kTileRows;
  const bool expanded = expands_panels<V>(args);
  for (int64_t block = 0; block < args.n_rows; block += block_rows) {
    const int64_t block_end = min_of(args.n_rows, block + block_rows);
    for (int64_t out_idx = args.out_begin; out_idx < args.out_end; out_idx += kPanelOuts) {
      const auto panel = make.template operator()<kPanelOuts>({out_idx, args.out_end - 1});
      if (!expanded) {
        matmul_panel<V>(args, block, block_end, out_idx, panel);
        continue;
      }
      expand<V>(args.scratch, panel);
      const FloatRows<V, FloatKind::kF32, kPanelOuts> floats(args.scratch, n_in, {0, kPanelOuts - 1});
      matmul_panel<V>(args, block, block_end, out_idx, floats);
    }
  }
}

template <typename V>
void matmul(const MatmulArgs& args) noexcept {
  with_rows_of<V>(args.weight, [&](auto make) {
    if (args.n_rows > 1) return matmul_rows<V>(args, make);
    if (args.weight.kind == WeightKind::kQ8) return matmul_one_row<V, V::kQuantisedRowOuts>(args, make);
    return matmul_one_row<V, V::kRowOuts>(args, make);
  });
}

}  // namespace
}  // namespace lille::kernels::simd
