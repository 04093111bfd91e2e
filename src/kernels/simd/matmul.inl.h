#pragma once

#include "kernels/simd/coded_rows.inl.h"
#include "kernels/simd/dot_tile.inl.h"

namespace lille::kernels::simd {
namespace {

/// Outputs of a panel: the rows of weights that one pass over the rows of x uses.
constexpr int kPanelOuts = 4;

/// Bytes of x that are swept for one panel after the other: they stay in a level-2 cache of 512 KiB.
constexpr int64_t kRowBlockBytes = 384 * 1024;

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
  static constexpr FloatKind kFloatKind = kKind;
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
    case WeightKind::kPacked:
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
  with_scale_kind(weight.scale_kind,
                  [&]<FloatKind kScaleKind>() { with_affine_rows_of<V, kScaleKind>(weight, use); });
}

/// The weight in row `row`, column `col` of a packed matrix is code * scale + bias.
struct PackedPlace {
  const WeightMatrix& weight;
  int64_t float_bytes = weight.scale_kind == FloatKind::kF32 ? 4 : 2;
  int64_t code_bytes = kPackedOuts * weight.group_size * weight.bits / 8;
  int64_t group_bytes = code_bytes + 2 * kPackedOuts * float_bytes;

  const Byte* group(int64_t row, int64_t group_idx) const {
    const int64_t n_groups = weight.n_in / weight.group_size;
    return static_cast<const Byte*>(weight.data) + (row / kPackedOuts * n_groups + group_idx) * group_bytes;
  }
};

/// One row of a packed matrix as float32.
template <typename V, FloatKind kScaleKind>
void expand_packed_row(float* out, const WeightMatrix& weight, int64_t row) {
  using Scales = Floats<V, kScaleKind>;
  const PackedPlace place{weight};
  const int64_t lane = row % kPackedOuts;
  for (int64_t group_idx = 0; group_idx * weight.group_size < weight.n_in; ++group_idx) {
    const Byte* group = place.group(row, group_idx);
    const auto scale = Scales::broadcast(group + place.code_bytes + lane * Scales::kBytes);
    const auto bias = Scales::broadcast(group + place.code_bytes + (kPackedOuts + lane) * Scales::kBytes);
    float* to = out + group_idx * weight.group_size;
    for (int64_t col = 0; col < weight.group_size; ++col) {
      const Byte* codes =
          group + (weight.bits == 8 ? col / 4 : col / 8) * 4 * kPackedOuts + lane * 4 + col % 4;
      to[col] = static_cast<float>(weight.bits == 8 ? *codes : col % 8 < 4 ? *codes & 15 : *codes >> 4);
    }
    for (int64_t col = 0; col < weight.group_size; col += V::kLanes)
      V::store(to + col, V::fma(V::load(to + col), scale, bias));
  }
}

template <typename V>
void expand_packed_row(float* out, const WeightMatrix& weight, int64_t row) {
  with_scale_kind(weight.scale_kind,
                  [&]<FloatKind kScaleKind>() { expand_packed_row<V, kScaleKind>(out, weight, row); });
}

template <typename V>
void dequantize_row(float* out, const WeightMatrix& weight, int64_t row) noexcept {
  if (weight.kind == WeightKind::kPacked) return expand_packed_row<V>(out, weight, row);
  with_rows_of<V>(weight, [&](auto make) { expand<V>(out, make.template operator()<1>({row, row})); });
}

/// The tile of x rows [row, row + n) against outputs [out_idx, ...).
template <typename X>
inline TileArgs<X> tile_args(const MatmulArgsOf<X>& args, int64_t row, int64_t out_idx) {
  return {.out = args.out + row * args.out_stride + out_idx,
          .out_stride = args.out_stride,
          .x = args.x + row * args.x_stride,
          .x_stride = args.x_stride,
          .n_outs = args.out_end - out_idx};
}

/// The dot product of x and one row of float weights, dot_tile's chain. Rows are read one after the other,
/// each from its beginning to its end, because memory is fastest in the order of addresses (one thread,
/// bfloat16: 17 GB/s; 11 with two or more rows in step).
template <typename D, typename Weights>
inline typename D::Lanes::F dot_row(const typename D::X* x, const Byte* weights, int64_t n_in) {
  constexpr int64_t kBytes = D::kColumns * Weights::kBytes;
  constexpr int64_t kSteps = 8;
  auto sum = D::Lanes::zero();
  int64_t col = 0;
  for (; col + kSteps * D::kColumns <= n_in; col += kSteps * D::kColumns, weights += kSteps * kBytes) {
    LILLE_UNROLL
    for (int64_t byte = 0; byte < kSteps * kBytes; byte += prefetch_step<typename D::Lanes>())
      prefetch_stream(weights + byte);
    LILLE_UNROLL
    for (int64_t step = 0; step < kSteps; ++step)
      sum = D::dot(sum, D::Load::load(x + col + step * D::kColumns), Weights::load(weights + step * kBytes));
  }
  for (; col + D::kColumns <= n_in; col += D::kColumns, weights += kBytes)
    sum = D::dot(sum, D::Load::load(x + col), Weights::load(weights));
  if (col < n_in)
    sum = D::dot(sum, D::Load::load_n(x + col, n_in - col), Weights::load_n(weights, n_in - col));
  return sum;
}

/// One row of x and float weights, which are read once.
template <typename D, typename Weights>
void matmul_float_row(const MatmulArgsOf<typename D::X>& args) {
  using V = typename D::Lanes;
  const int64_t n_in = args.weight.n_in;
  const auto row = [&](int64_t out_idx) {
    const auto* data = static_cast<const Byte*>(args.weight.data);
    return dot_row<D, Weights>(args.x, data + out_idx * n_in * Weights::kBytes, n_in);
  };
  int64_t out_idx = args.out_begin;
  for (; out_idx + 4 <= args.out_end; out_idx += 4) {
    typename V::F sums[4];
    LILLE_UNROLL
    for (int idx = 0; idx < 4; ++idx) sums[idx] = row(out_idx + idx);
    V::sum4(args.out + out_idx, sums[0], sums[1], sums[2], sums[3]);
  }
  for (; out_idx < args.out_end; ++out_idx) args.out[out_idx] = V::sum(row(out_idx));
}

/// One row of x and codes: the weights are read once, so they are used as they are stored.
template <typename V, int kOuts, typename Make>
void matmul_one_row(const MatmulArgs& args, Make make) {
  for (int64_t out_idx = args.out_begin; out_idx < args.out_end; out_idx += kOuts)
    dot_tile<FloatDots<V>, 1>(tile_args(args, 0, out_idx),
                              make.template operator()<kOuts>({out_idx, args.out_end - 1}));
}

/// Rows [begin, end) of x against a panel, in tiles of nearly equal height.
template <typename D, typename Rows>
inline void matmul_panel(const MatmulArgsOf<typename D::X>& args, int64_t begin, int64_t end, int64_t out_idx,
                         const Rows& rows) {
  int64_t n_tiles = (end - begin + D::kTileRows - 1) / D::kTileRows;
  for (int64_t row = begin; row < end; --n_tiles) {
    const int64_t n_rows = (end - row + n_tiles - 1) / n_tiles;
    dot_rows<D>(tile_args(args, row, out_idx), n_rows, rows);
    row += n_rows;
  }
}

/// Several rows of x, a block of them at a time, so that the block stays in the cache while panels pass by.
/// use(block_begin, block_end, first output of the panel).
template <typename D, typename Use>
inline void for_each_panel(const MatmulArgsOf<typename D::X>& args, Use use) {
  constexpr auto kTileBytes = D::kTileRows * static_cast<int64_t>(sizeof(typename D::X));
  const int64_t block_tiles = kRowBlockBytes / (args.weight.n_in * kTileBytes);
  const int64_t block_rows = (block_tiles < 1 ? 1 : block_tiles) * D::kTileRows;
  for (int64_t block = 0; block < args.n_rows; block += block_rows)
    for (int64_t out_idx = args.out_begin; out_idx < args.out_end; out_idx += kPanelOuts)
      use(block, min_of(args.n_rows, block + block_rows), out_idx);
}

/// A panel of weights is expanded to float32 once, not by every tile of rows. The expanded value is the one
/// that a tile computes in registers, so the bits are the same.
template <typename V, typename Make>
void matmul_expanded(const MatmulArgs& args, Make make) {
  const int64_t n_in = args.weight.n_in;
  for_each_panel<FloatDots<V>>(args, [&](int64_t begin, int64_t end, int64_t out_idx) {
    const int64_t n_outs = min_of(kPanelOuts, args.out_end - out_idx);
    for (int64_t idx = 0; idx < n_outs; ++idx)
      expand<V>(args.scratch + idx * n_in, make.template operator()<1>({out_idx + idx, out_idx + idx}));
    const FloatRows<V, FloatKind::kF32, kPanelOuts> floats(args.scratch, n_in, {0, n_outs - 1});
    matmul_panel<FloatDots<V>>(args, begin, end, out_idx, floats);
  });
}

/// Packed weights: rows are expanded, then multiplied as floats.
template <typename V>
void matmul_packed(const MatmulArgs& args) {
  const int64_t n_in = args.weight.n_in;
  for_each_panel<FloatDots<V>>(args, [&](int64_t begin, int64_t end, int64_t out_idx) {
    const int64_t n_outs = min_of(kPanelOuts, args.out_end - out_idx);
    for (int64_t idx = 0; idx < n_outs; ++idx)
      expand_packed_row<V>(args.scratch + idx * n_in, args.weight, out_idx + idx);
    matmul_panel<FloatDots<V>>(
        args, begin, end, out_idx,
        FloatRows<V, FloatKind::kF32, kPanelOuts>(args.scratch, n_in, {0, n_outs - 1}));
  });
}

/// Rows of x against float weights in the type that D multiplies them in.
template <typename D, typename Weights>
void matmul_floats(const MatmulArgsOf<typename D::X>& args) {
  if (args.n_rows == 1) return matmul_float_row<D, Weights>(args);
  for_each_panel<D>(args, [&](int64_t begin, int64_t end, int64_t out_idx) {
    matmul_panel<D>(
        args, begin, end, out_idx,
        LoadedRows<Weights, kPanelOuts>(args.weight.data, args.weight.n_in, {out_idx, args.out_end - 1}));
  });
}

template <typename V>
void matmul(const MatmulArgs& args) noexcept {
  if (args.weight.kind == WeightKind::kPacked) return matmul_packed<V>(args);
  with_rows_of<V>(args.weight, [&]<typename Make>(Make make) {
    if constexpr (Make::kCoded) {
      if (args.n_rows > 1) return matmul_expanded<V>(args, make);
      return matmul_one_row<V, V::kQuantisedRowOuts>(args, make);
    } else {
      if (args.weight.kind == WeightKind::kBF16 && args.n_rows >= V::kExpandBf16Rows)
        return matmul_expanded<V>(args, make);
      return matmul_floats<FloatDots<V>, Floats<V, Make::kFloatKind>>(args);
    }
  });
}

/// The same rows with their true type.
template <typename X>
inline MatmulArgsOf<X> rows_of_type(const MatmulBf16Args& args) {
  return {.out = args.out,
          .out_stride = args.out_stride,
          .x = static_cast<const X*>(args.x),
          .x_stride = args.x_stride,
          .n_rows = args.n_rows,
          .weight = args.weight,
          .out_begin = args.out_begin,
          .out_end = args.out_end,
          .scratch = args.scratch};
}

/// Bf16Kernels::matmul of a processor that multiplies float32.
template <typename V>
void matmul_bf16(const MatmulBf16Args& args) noexcept {
  matmul<V>(rows_of_type<float>(args));
}

}  // namespace
}  // namespace lille::kernels::simd
