#pragma once

#include "kernels/simd/float_rows.inl.h"

namespace lille::kernels::simd {
namespace {

/// How a tile multiplies vectors of float32: the policy of dot_tile for V.
template <typename V>
struct FloatDots {
  using Lanes = V;                          ///< Of the sums.
  using X = float;                          ///< Element of a row of x.
  using Load = Floats<V, FloatKind::kF32>;  ///< Loads kColumns elements of x.
  static constexpr int64_t kColumns = V::kLanes;
  static constexpr int kTileRows = V::kTileRows;

  /// sums + x * weights.
  static typename V::F dot(typename V::F sums, typename V::F x, typename V::F weights) {
    return V::fma(x, weights, sums);
  }
};

/// Where the dot products of a tile come from and go to.
template <typename X>
struct TileArgs {
  float* out = nullptr;  ///< Row r, column c at out[r * out_stride + c].
  int64_t out_stride = 0;
  const X* x = nullptr;  ///< Row r at x + r * x_stride.
  int64_t x_stride = 0;
  int64_t n_outs = 0;  ///< Columns to store; the tile computes Rows::kCount.
};

/// Dot products of kTileRows rows of x with Rows::kCount rows of weights. Each is one chain: one accumulator
/// a lane, stepping through the columns in order with D::dot, then the fixed sum of lanes of sum4. A tile of
/// any shape computes the same chains, only more or fewer at a time, so every shape gives the same bits.
template <typename D, int kTileRows, typename Rows>
inline void dot_tile(const TileArgs<typename D::X>& args, Rows rows) {
  using V = typename D::Lanes;
  using F = typename V::F;
  using XLanes = typename D::Load::F;
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
    for (; col + D::kColumns <= end; col += D::kColumns) {
      XLanes x[kTileRows];
      LILLE_UNROLL
      for (int row = 0; row < kTileRows; ++row) x[row] = D::Load::load(args.x + row * args.x_stride + col);
      LILLE_UNROLL
      for (int idx = 0; idx < kOuts; ++idx) {
        const auto weight = rows.load(idx, col);
        LILLE_UNROLL
        for (int row = 0; row < kTileRows; ++row) acc[row][idx] = D::dot(acc[row][idx], x[row], weight);
      }
    }
    if (col < end) {
      LILLE_UNROLL
      for (int idx = 0; idx < kOuts; ++idx) {
        const auto weight = rows.load_n(idx, col, end - col);
        LILLE_UNROLL
        for (int row = 0; row < kTileRows; ++row) {
          const XLanes x = D::Load::load_n(args.x + row * args.x_stride + col, end - col);
          acc[row][idx] = D::dot(acc[row][idx], x, weight);
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

/// dot_tile for 1 <= n_rows <= D::kTileRows rows.
template <typename D, typename Rows>
inline void dot_rows(const TileArgs<typename D::X>& args, int64_t n_rows, const Rows& rows) {
  switch (n_rows) {
    case 1:
      return dot_tile<D, 1>(args, rows);
    case 2:
      return dot_tile<D, 2>(args, rows);
    case 3:
      return dot_tile<D, 3>(args, rows);
    default:
      break;
  }
  if constexpr (D::kTileRows >= 6) {
    switch (n_rows) {
      case 4:
        return dot_tile<D, 4>(args, rows);
      case 5:
        return dot_tile<D, 5>(args, rows);
      default:
        return dot_tile<D, 6>(args, rows);
    }
  }
}

}  // namespace
}  // namespace lille::kernels::simd
