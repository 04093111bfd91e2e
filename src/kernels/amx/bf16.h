#pragma once

#include "kernels/amx/tiles.h"
#include "kernels/avx512/vec.h"
#include "kernels/simd/tile_bf16.inl.h"

namespace lille::kernels::amx {
namespace {

using avx512::Vec;

/// The unit of simd/tile_bf16.inl.h. It takes subnormal numbers as zero, adds the products of even columns of
/// a tile and those of odd ones, each in order, then both to the sum.
class Bf16Unit {
 public:
  Bf16Unit(const int64_t (&outs)[2], const int64_t (&rows)[2]) : tiles_(shapes(outs, rows)) {}

  template <int kTile>
  static void zero() {
    zero_tile<kTile>();
  }
  template <int kTile>
  static void load(const void* from, int64_t stride) {
    load_tile<kTile>(from, stride);
  }
  template <int kTile>
  static void store(void* to, int64_t stride) {
    store_tile<kTile>(to, stride);
  }
  template <int kSums, int kWeights, int kX>
  static void multiply() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kWeights), "i"(kX));
  }

  static void store_rows(float* out, int64_t out_stride, const float* sums, int64_t n_rows, int64_t n_outs) {
    __m512i rows[16];
    LILLE_UNROLL
    for (int idx = 0; idx < 16; ++idx) rows[idx] = _mm512_load_si512(sums + 16 * idx);
    Vec::transpose(rows);
    if (n_rows == 16 && n_outs == 16) {
      LILLE_UNROLL
      for (int idx = 0; idx < 16; ++idx) _mm512_storeu_si512(out + idx * out_stride, rows[idx]);
      return;
    }
    for (int64_t idx = 0; idx < n_rows; ++idx)
      _mm512_mask_storeu_epi32(out + idx * out_stride, Vec::first(n_outs), rows[idx]);
  }

 private:
  static TileShapes shapes(const int64_t (&outs)[2], const int64_t (&rows)[2]) {
    TileShapes shapes;
    for (const int panel : {0, 1}) {
      if (outs[panel] == 0) continue;
      shapes.set(simd::bf16_weights(panel), outs[panel], kUnitRowBytes);
      for (const int group : {0, 1})
        if (rows[group] != 0) shapes.set(simd::bf16_sums(panel, group), outs[panel], 4 * rows[group]);
    }
    for (const int group : {0, 1})
      if (rows[group] != 0) shapes.set(simd::bf16_x(group), kUnitRows, 4 * rows[group]);
    return shapes;
  }

  Tiles tiles_;
};

/// 32 columns of a row in bfloat16; those from n on are zero.
inline __m512i round_columns(const float* x, int64_t n) {
  const __m512 low = _mm512_maskz_loadu_ps(Vec::first(n < 16 ? n : 16), x);
  const __m512 high =
      n <= 16 ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(Vec::first(n < 32 ? n - 16 : 16), x + 16);
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

/// Bf16Kernels::round. Columns 2 i and 2 i + 1 of a row stand together, those of the group's other rows
/// behind them, then columns 2 i + 2 and 2 i + 3.
inline void round_group(void* to, int64_t to_stride, const float* x, int64_t x_stride, int64_t n_rows,
                        int64_t n_in) noexcept {
  auto* pairs = static_cast<uint32_t*>(to);
  const __mmask16 whole_rows = Vec::first(n_rows);
  for (int64_t col = 0; col < to_stride; col += simd::kBf16TileColumns) {
    const int64_t n_cols = simd::min_of(simd::kBf16TileColumns, n_in - col);
    if (n_cols <= 0) return;
    if (n_rows == 1) {
      _mm512_storeu_si512(pairs + col / 2, round_columns(x + col, n_cols));
      continue;
    }
    __m512i rows[16];
    for (int64_t row = 0; row < 16; ++row)
      rows[row] = row < n_rows ? round_columns(x + row * x_stride + col, n_cols) : _mm512_setzero_si512();
    Vec::transpose(rows);
    uint32_t* step = pairs + col / 2 * n_rows;
    for (int64_t pair = 0; pair < 16; ++pair)
      _mm512_mask_storeu_epi32(step + pair * n_rows, whole_rows, rows[pair]);
  }
}

}  // namespace
}  // namespace lille::kernels::amx
