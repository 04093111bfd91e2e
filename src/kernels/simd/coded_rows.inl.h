#pragma once

#include "kernels/simd/codecs.inl.h"

namespace lille::kernels::simd {
namespace {

/// kRows rows of a quantised matrix, whose storage the codec knows. A policy of dot_tile and expand.
template <typename V, typename Codec, int kRows>
struct CodedRows {
  using F = typename V::F;
  static constexpr int kCount = kRows;

  Codec codec;
  int64_t n_cols;
  typename Codec::Row rows[kRows];
  typename Codec::Segment segments[kRows];
  int64_t segment_begin = 0;

  CodedRows(const WeightMatrix& weight, RowRange range) : codec(weight), n_cols(weight.n_in) {
    for (int idx = 0; idx < kRows; ++idx) rows[idx] = codec.row(weight, range.at(idx));
  }

  int64_t segment_cols() const { return codec.segment_cols(); }
  void begin_segment(int64_t segment_idx) {
    segment_begin = segment_idx * segment_cols();
    LILLE_UNROLL
    for (int idx = 0; idx < kRows; ++idx) {
      segments[idx] = codec.segment(rows[idx], segment_idx);
      // The same place of the next tile: rows are too short for the processor to foresee the jump.
      const Byte* next = codec.codes(rows[idx], segment_idx) + kRows * codec.row_bytes(n_cols);
      for (int64_t byte = 0; byte < codec.segment_bytes(); byte += 64) __builtin_prefetch(next + byte);
    }
  }
  F load(int idx, int64_t col) const { return segments[idx].load(col - segment_begin); }
  /// Never called: segments are whole vectors.
  F load_n(int, int64_t, int64_t) const { return V::zero(); }
};

}  // namespace
}  // namespace lille::kernels::simd
