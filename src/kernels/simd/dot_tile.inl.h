#pragma once

#include "kernels/simd/float_rows.inl.h"

namespace lille::kernels::simd {
namespace {

/// Where the dot products of a tile come from and go to.
struct TileArgs {
  float* out = nullptr;  ///< Row r, column c at out[r * out_stride + c].
  int64_t out_stride = 0;
  const float* x = nullptr;  ///< Row r at x + r * x_stride.
  int64_t x_stride = 0;
  int64_t n_outs = 0;  ///< Columns to store; the tile computes Rows::kCount.
};

/// Dot products of kTileRows rows of x with Rows::kCount rows of weights. Each is one chain: one accumulator
/// a lane, stepping through the columns in order with fused multiply-adds, then the fixed sum of lanes of
/// V::sum4. A tile of any shape computes the same chains, only more or fewer at a time, so every shape gives
/// the same bits.
template <typename V, int kTileRows, typename Rows>
inline void dot_tile(const TileArgs& args, Rows rows) {
  using F = typename V::F;
  constexpr int kOuts = Rows::kCount;
  F acc[kTileRows][kOuts];
  LILLE_UNROLL
  for (int row = 0; row < kTileRows; ++row) {
    LILLE_UNROLL
    for (int idx = 0; idx < kOuts; ++idx) acc[row][idx] = V::zero();
  }

  const int64_t segment_cols = rows.segment_cols();
  int64_t segment_idx = 0;
  for (int64_t begin = 0; begin < rows.n_cols; begin += segment_cols, ++segment_idx) {
    rows.begin_segment(segment_idx);
    const int64_t end = begin + segment_cols;
    int64_t col = begin;
    for (; col + V::kLanes <= end; col += V::kLanes) {
      F x[kTileRows];
      LILLE_UNROLL
      for (int row = 0; row < kTileRows; ++row) x[row] = V::load(args.x + row * args.x_stride + col);
      LILLE_UNROLL
      for (int idx = 0; idx < kOuts; ++idx) {
        const F weight = rows.load(idx, col);
        LILLE_UNROLL
        for (int row = 0; row < kTileRows; ++row) acc[row][idx] = V::fma(x[row], weight, acc[row][idx]);
      }
    }
    if (col < end) {
      LILLE_UNROLL
      for (int idx = 0; idx < kOuts; ++idx) {
        const F weight = rows.load_n(idx, col, end - col);
        LILLE_UNROLL
        for (int row = 0; row < kTileRows; ++row) {
          const F x = V::load_n(args.x + row * args.x_stride + col, end - col);
          acc[row][idx] = V::fma(x, weight, acc[row][idx]);
        }
      }
    }
  }

  LILLE_UNROLL
  for (int row = 0; row < kTileRows; ++row) {
    float sums[kOuts];
    LILLE_UNROLL
    for (int idx = 0; idx < kOuts; idx += 4)
      V::sum4(sums + idx, acc[row][idx], acc[row][idx + 1], acc[row][idx + 2], acc[row][idx + 3]);
    float* out = args.out + row * args.out_stride;
    if (args.n_outs >= kOuts) {
      __builtin_memcpy(out, sums, sizeof(sums));
    } else {
      for (int64_t idx = 0; idx < args.n_outs; ++idx) out[idx] = sums[idx];
    }
  }
}

/// dot_tile for 1 <= n_rows <= V::kTileRows rows.
template <typename V, typename Rows>
inline void dot_rows(const TileArgs& args, int64_t n_rows, const Rows& rows) {
  switch (n_rows) {
    case 1:
      return dot_tile<V, 1>(args, rows);
    case 2:
      return dot_tile<V, 2>(args, rows);
    case 3:
      return dot_tile<V, 3>(args, rows);
    default:
      break;
  }
  if constexpr (V::kTileRows >= 6) {
    switch (n_rows) {
      case 4:
        return dot_tile<V, 4>(args, rows);
      case 5:
        return dot_tile<V, 5>(args, rows);
      default:
        return dot_tile<V, 6>(args, rows);
    }
  }
}

}  // namespace
}  // namespace lille::kernels::simd
