#pragma once

#include "kernels/kernel_types.h"
#include "kernels/simd/unroll.h"

namespace lille::kernels::simd {
namespace {

using Byte = unsigned char;

constexpr int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }

/// Bytes of a stream that one request for memory stands for: processors fetch the lines around it by
/// themselves, and where every line is asked for, the requests fill the queue (one thread: 14.5 GB/s instead
/// of 21).
constexpr int64_t kPrefetchStep = 256;

/// The same for the processors of a V, which may say otherwise.
template <typename V>
constexpr int64_t prefetch_step() {
  if constexpr (requires { V::kPrefetchStep; }) return V::kPrefetchStep;
  return kPrefetchStep;
}

/// What is read some 8 KiB after `at`, past the page that a processor's own prefetching stops at.
inline const Byte* stream_ahead(const void* at) { return static_cast<const Byte*>(at) + 8192; }

/// Asks for it.
inline void prefetch_stream(const void* at) { __builtin_prefetch(stream_ahead(at), 0, 2); }

/// Has the compiler forget what a register holds.
template <typename T>
inline void hide_value(T& value) {
  asm("" : "+r"(value));
}

/// Loads of one float kind at any address, as float32 lanes.
template <typename V, FloatKind kKind>
struct Floats {
  using F = typename V::F;
  static constexpr int64_t kBytes = kKind == FloatKind::kF32 ? 4 : 2;

  static F load(const void* from) {
    if constexpr (kKind == FloatKind::kF32) return V::load(from);
    if constexpr (kKind == FloatKind::kF16) return V::load_f16(from);
    if constexpr (kKind == FloatKind::kBF16) return V::load_bf16(from);
  }
  static F load_n(const void* from, int64_t n) {
    if constexpr (kKind == FloatKind::kF32) return V::load_n(from, n);
    if constexpr (kKind == FloatKind::kF16) return V::load_f16_n(from, n);
    if constexpr (kKind == FloatKind::kBF16) return V::load_bf16_n(from, n);
  }
  /// One element in every lane.
  static F broadcast(const void* from) {
    if constexpr (kKind == FloatKind::kF32) return V::broadcast_f32(from);
    if constexpr (kKind == FloatKind::kF16) return V::broadcast_f16(from);
    if constexpr (kKind == FloatKind::kBF16) return V::broadcast_bf16(from);
  }
};

/// Calls use.template operator()<kScaleKind>() with the kind of the matrix's scales.
template <typename Use>
inline void with_scale_kind(FloatKind kind, Use use) {
  switch (kind) {
    case FloatKind::kF32:
      return use.template operator()<FloatKind::kF32>();
    case FloatKind::kF16:
      return use.template operator()<FloatKind::kF16>();
    case FloatKind::kBF16:
      return use.template operator()<FloatKind::kBF16>();
  }
}

/// Where a tile of rows begins. Rows past the last are read as the last: a tile is always full, and what it
/// computes too much is not stored.
struct RowRange {
  int64_t first = 0;
  int64_t last = 0;

  int64_t at(int64_t idx) const { return min_of(first + idx, last); }
};

/// kRows rows of an array, read in step, whose elements `Load` loads as Floats does. A policy of dot_tile.
template <typename Load, int kRows>
struct LoadedRows {
  using F = typename Load::F;
  static constexpr int kCount = kRows;

  const Byte* rows[kRows];
  int64_t n_cols;

  LoadedRows(const void* data, int64_t n_cols_of_row, RowRange range) : n_cols(n_cols_of_row) {
    for (int idx = 0; idx < kRows; ++idx)
      rows[idx] = static_cast<const Byte*>(data) + range.at(idx) * n_cols * Load::kBytes;
  }

  /// Columns that share what begin_segment sets.
  int64_t segment_cols() const { return n_cols; }
  void begin_segment(int64_t) {}
  F load(int idx, int64_t col) const { return Load::load(rows[idx] + col * Load::kBytes); }
  F load_n(int idx, int64_t col, int64_t n) const { return Load::load_n(rows[idx] + col * Load::kBytes, n); }
};

template <typename V, FloatKind kKind, int kRows>
using FloatRows = LoadedRows<Floats<V, kKind>, kRows>;

}  // namespace
}  // namespace lille::kernels::simd
