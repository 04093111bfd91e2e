#pragma once

#include "kernels/simd/coded_rows.inl.h"
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

/// One row of weights as float32.
template <typename V, typename Rows>
void expand(float* out, Rows rows) {
  static_assert(Rows::kCount == 1);
  const int64_t segment_cols = rows.segment_cols();
  int64_t segment_idx = 0;
  for (int64_t begin = 0; begin < rows.n_cols; begin += segment_cols, ++segment_idx) {
    rows.begin_segment(segment_idx);
    const int64_t end = begin + segment_cols;
    int64_t col = begin;
    for (; col + V::kLanes <= end; col += V::kLanes) V::store(out + col, rows.load(0, col));
    if (col < end) V::store_n(out + col, rows.load_n(0, col, end - col), end - col);
  }
}

/// Makes the rows of a matrix of one kind: make.template operator()<kRows>(RowRange).
template <typename V, FloatKind kKind>
struct MakeFloatRows {
  static constexpr bool kCoded = false;
  const WeightMatrix& weight;

  template <int kRows>
  auto operator()(RowRange range) const {
    return FloatRows<V, kKind, kRows>(weight.data, weight.n_in, range);
  }
};

template <typename V, typename Codec>
struct MakeCodedRows {
  static constexpr bool kCoded = true;
  const WeightMatrix& weight;

  template <int kRows>
  auto operator()(RowRange range) const {
    return CodedRows<V, Codec, kRows>(weight, range);
  }
};

template <typename V, FloatKind kScaleKind, typename Use>
void with_affine_rows_of(const WeightMatrix& weight, Use use) {
  switch (weight.bits) {
    case 2:
      return use(MakeCodedRows<V, AffineCodec<V, 2, kScaleKind>>{weight});
    case 3:
      return use(MakeCodedRows<V, AffineCodec<V, 3, kScaleKind>>{weight});
    case 4:
      return use(MakeCodedRows<V, AffineCodec<V, 4, kScaleKind>>{weight});
    case 5:
      return use(MakeCodedRows<V, AffineCodec<V, 5, kScaleKind>>{weight});
    case 6:
      return use(MakeCodedRows<V, AffineCodec<V, 6, kScaleKind>>{weight});
    default:
      return use(MakeCodedRows<V, AffineCodec<V, 8, kScaleKind>>{weight});
  }
}

/// Calls `use` with the maker of the matrix's rows.
template <typename V, typename Use>
void with_rows_of(const WeightMatrix& weight, Use use) {
  const auto blocks = [&]<typename Format>() { use(MakeCodedRows<V, BlockCodec<Format>>{weight}); };
  switch (weight.kind) {
    case WeightKind::kF32:
      return use(MakeFloatRows<V, FloatKind::kF32>{weight});
    case WeightKind::kF16:
      return use(MakeFloatRows<V, FloatKind::kF16>{weight});
    case WeightKind::kBF16:
      return use(MakeFloatRows<V, FloatKind::kBF16>{weight});
    case WeightKind::kAffine:
      break;
    case WeightKind::kQ8_0:
      return blocks.template operator()<FormatQ8_0<V>>();
    case WeightKind::kQ4_0:
      return blocks.template operator()<FormatOf4Bits<V, BlockQ4_0, 8, false>>();
    case WeightKind::kQ4_1:
      return blocks.template operator()<FormatOf4Bits<V, BlockQ4_1, 0, true>>();
    case WeightKind::kQ5_0:
      return blocks.template operator()<FormatOf5Bits<V, BlockQ5_0, 16, false>>();
    case WeightKind::kQ5_1:
      return blocks.template operator()<FormatOf5Bits<V, BlockQ5_1, 0, true>>();
    case WeightKind::kQ4_K:
      return blocks.template operator()<FormatQ4_K<V>>();
    case WeightKind::kQ5_K:
      return blocks.template operator()<FormatQ5_K<V>>();
    case WeightKind::kQ6_K:
      return blocks.template operator()<FormatQ6_K<V>>();
  }
  switch (weight.scale_kind) {
    case FloatKind::kF32:
      return with_affine_rows_of<V, FloatKind::kF32>(weight, use);
    case FloatKind::kF16:
      return with_affine_rows_of<V, FloatKind::kF16>(weight, use);
    case FloatKind::kBF16:
      return with_affine_rows_of<V, FloatKind::kBF16>(weight, use);
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

/// Several rows of x, a block of them at a time, so that the block stays in the cache while panels pass by.
/// use(block_begin, block_end, first output of the panel).
template <typename V, typename Use>
inline void for_each_panel(const MatmulArgs& args, Use use) {
  const int64_t block_tiles = kRowBlockFloats / (args.weight.n_in * V::kTileRows);
  const int64_t block_rows = (block_tiles < 1 ? 1 : block_tiles) * V::kTileRows;
  for (int64_t block = 0; block < args.n_rows; block += block_rows)
    for (int64_t out_idx = args.out_begin; out_idx < args.out_end; out_idx += kPanelOuts)
      use(block, min_of(args.n_rows, block + block_rows), out_idx);
}

/// Float weights, converted by every tile of rows.
template <typename V, typename Make>
void matmul_rows(const MatmulArgs& args, Make make) {
  for_each_panel<V>(args, [&](int64_t begin, int64_t end, int64_t out_idx) {
    matmul_panel<V>(args, begin, end, out_idx,
                    make.template operator()<kPanelOuts>({out_idx, args.out_end - 1}));
  });
}

/// A panel of weights is expanded to float32 once, not by every tile of rows. The expanded value is the one
/// that a tile computes in registers, so the bits are the same.
template <typename V, typename Make>
void matmul_expanded(const MatmulArgs& args, Make make) {
  const int64_t n_in = args.weight.n_in;
  for_each_panel<V>(args, [&](int64_t begin, int64_t end, int64_t out_idx) {
    const int64_t n_outs = min_of(kPanelOuts, args.out_end - out_idx);
    for (int64_t idx = 0; idx < n_outs; ++idx)
      expand<V>(args.scratch + idx * n_in, make.template operator()<1>({out_idx + idx, out_idx + idx}));
    const FloatRows<V, FloatKind::kF32, kPanelOuts> floats(args.scratch, n_in, {0, n_outs - 1});
    matmul_panel<V>(args, begin, end, out_idx, floats);
  });
}

template <typename V>
void matmul(const MatmulArgs& args) noexcept {
  with_rows_of<V>(args.weight, [&]<typename Make>(Make make) {
    if constexpr (Make::kCoded) {
      if (args.n_rows > 1) return matmul_expanded<V>(args, make);
      return matmul_one_row<V, V::kQuantisedRowOuts>(args, make);
    } else {
      if (args.n_rows == 1) return matmul_one_row<V, V::kRowOuts>(args, make);
      if (args.weight.kind == WeightKind::kBF16 && args.n_rows >= V::kExpandBf16Rows)
        return matmul_expanded<V>(args, make);
      return matmul_rows<V>(args, make);
    }
  });
}

}  // namespace
}  // namespace lille::kernels::simd
