#pragma once

#include <immintrin.h>

#include <cstdint>

namespace lille::kernels::avx512 {
namespace {

/// Sixteen float32 lanes: the primitives that src/kernels/simd is written over. `_n` reads or writes the
/// first n lanes only, 0 < n < kLanes, and reads the others as zero.
struct Vec {
  using F = __m512;
  using I = __m512i;  ///< Sixteen int32 lanes.
  static constexpr int64_t kLanes = 16;

  // 6 x 4 accumulators, 4 weights and 1 input use 29 of the 32 registers.
  static constexpr int kTileRows = 6;
  /// Outputs computed side by side for one row of x: enough chains to hide the latency of a fused
  /// multiply-add.
  static constexpr int kQuantisedRowOuts = 8;
  /// Rows of x from which bfloat16 weights are expanded first: never, converting them hides behind the
  /// products.
  static constexpr int64_t kExpandBf16Rows = INT64_MAX;

  static __mmask16 first(int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }

  static F zero() { return _mm512_setzero_ps(); }
  static F set(float value) { return _mm512_set1_ps(value); }
  static F load(const void* from) { return _mm512_loadu_ps(from); }
  static F load_n(const void* from, int64_t n) { return _mm512_maskz_loadu_ps(first(n), from); }
  static void store(float* to, F v) { _mm512_storeu_ps(to, v); }
  static void store_n(float* to, F v, int64_t n) { _mm512_mask_storeu_ps(to, first(n), v); }
  static F keep_n(F v, int64_t n) { return _mm512_maskz_mov_ps(first(n), v); }

  static F load_bf16(const void* from) {
    return from_bf16(_mm256_loadu_si256(static_cast<const __m256i*>(from)));
  }
  static F load_bf16_n(const void* from, int64_t n) {
    return from_bf16(_mm256_maskz_loadu_epi16(first(n), from));
  }
  static F load_f16(const void* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(from)));
  }
  static F load_f16_n(const void* from, int64_t n) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), from));
  }

  static constexpr bool kLooksUp16 = true;
  /// The element of `table` that the low four bits of each lane name.
  static F look_up(F table, I indices) { return _mm512_permutexvar_ps(indices, table); }

  static I load_u8(const void* from) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(from)));
  }
  static I load_i8(const void* from) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(from)));
  }
  /// Sixteen codes of kBits from a stream, one a lane, with other bits above them; reads no byte more.
  template <int kBits>
  static I load_fields(const void* from) {
    if constexpr (kBits == 2)
      return shift_right(broadcast_int(from), _mm512_mullo_epi32(lane_indices(), set_int(2)));
    if constexpr (kBits == 4) {
      const __m512i stream = _mm512_castsi128_si512(_mm_loadl_epi64(static_cast<const __m128i*>(from)));
      const __m512i word = _mm512_srli_epi32(lane_indices(), 3);
      const __m512i shift = _mm512_slli_epi32(and_int(lane_indices(), set_int(7)), 2);
      return shift_right(_mm512_permutexvar_epi32(word, stream), shift);
    }
    // Each lane takes the two bytes that its code lies in.
    constexpr auto kMask = static_cast<__mmask16>((1u << (2 * kBits)) - 1);
    const __m512i stream = _mm512_broadcast_i32x4(_mm_maskz_loadu_epi8(kMask, from));
    const __m512i first_bit = _mm512_mullo_epi32(lane_indices(), set_int(kBits));
    const __m512i byte = _mm512_srli_epi32(first_bit, 3);
    // Bytes 2 and 3 of a lane become zero: their index has the top bit set.
    const __m512i bytes =
        add_int(_mm512_mullo_epi32(byte, set_int(0x101)), set_int(static_cast<int>(0x80800100u)));
    return shift_right(_mm512_shuffle_epi8(stream, bytes), and_int(first_bit, set_int(7)));
  }
  static I lane_indices() { return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
  /// Has the compiler forget what a register holds.
  static void hide(I& v) { asm("" : "+v"(v)); }
  static I set_int(int value) { return _mm512_set1_epi32(value); }
  static I broadcast_int(const void* from) { return set_int(read<int>(from)); }
  static I and_int(I a, I b) { return _mm512_and_si512(a, b); }
  static I or_int(I a, I b) { return _mm512_or_si512(a, b); }
  static I add_int(I a, I b) { return _mm512_add_epi32(a, b); }
  static I sub_int(I a, I b) { return _mm512_sub_epi32(a, b); }
  static I shift_left(I a, I n) { return _mm512_sllv_epi32(a, n); }
  static I shift_right(I a, I n) { return _mm512_srlv_epi32(a, n); }
  static F to_float(I a) { return _mm512_cvtepi32_ps(a); }

  /// From rows to columns, in place.
  static void transpose(I (&v)[kLanes]) {
    I pairs[16];
    for (int i = 0; i < 16; i += 2) {
      pairs[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
      pairs[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
      v[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
      v[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
      v[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
      v[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    // v[i + j] holds columns j, 4 + j, 8 + j, 12 + j of rows i to i + 3.
    for (int j = 0; j < 4; ++j) {
      const I low_even = _mm512_shuffle_i32x4(v[j], v[4 + j], 0x88);
      const I low_odd = _mm512_shuffle_i32x4(v[j], v[4 + j], 0xdd);
      const I high_even = _mm512_shuffle_i32x4(v[8 + j], v[12 + j], 0x88);
      const I high_odd = _mm512_shuffle_i32x4(v[8 + j], v[12 + j], 0xdd);
      v[j] = _mm512_shuffle_i32x4(low_even, high_even, 0x88);
      v[8 + j] = _mm512_shuffle_i32x4(low_even, high_even, 0xdd);
      v[4 + j] = _mm512_shuffle_i32x4(low_odd, high_odd, 0x88);
      v[12 + j] = _mm512_shuffle_i32x4(low_odd, high_odd, 0xdd);
    }
  }

  static void transpose(F (&v)[kLanes]) {
    I bits[kLanes];
    for (int i = 0; i < kLanes; ++i) bits[i] = _mm512_castps_si512(v[i]);
    transpose(bits);
    for (int i = 0; i < kLanes; ++i) v[i] = _mm512_castsi512_ps(bits[i]);
  }

  /// One element in every lane.
  static F broadcast_f32(const void* from) { return set(read<float>(from)); }
  static F broadcast_bf16(const void* from) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_set1_epi16(read<int16_t>(from)), 16));
  }
  static F broadcast_f16(const void* from) { return _mm512_cvtph_ps(_mm256_set1_epi16(read<int16_t>(from))); }

  /// a * b + c, rounded once.
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F sqrt(F a) { return _mm512_sqrt_ps(a); }
  /// b where either is NaN.
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  /// b where either is NaN.
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F round(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  /// a * 2^n for whole n, rounded once.
  static F scale_by_power(F a, F n) { return _mm512_scalef_ps(a, n); }

  static float first_lane(F a) { return _mm512_cvtss_f32(a); }

  /// The sums of four vectors, one after the other in out. Halves are folded onto each other until one lane
  /// is left, the order of every sum of lanes in this folder.
  static void sum4(float* out, F a, F b, F c, F d) { _mm_storeu_ps(out, sums_of(a, b, c, d)); }
  static float sum(F a) { return _mm_cvtss_f32(sums_of(a, a, a, a)); }
  /// The largest lane; no lane may be NaN.
  static float largest(F a) { return _mm512_reduce_max_ps(a); }

  /// Bit i says that lanes i are equal.
  static uint32_t equal(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }

  /// Sixteen float64 lanes.
  struct DoubleSum {
    __m512d low = _mm512_setzero_pd();
    __m512d high = _mm512_setzero_pd();

    void add(F a) {
      low = _mm512_add_pd(low, _mm512_cvtps_pd(_mm512_castps512_ps256(a)));
      high = _mm512_add_pd(high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)));
    }
    double total() const { return _mm512_reduce_add_pd(_mm512_add_pd(low, high)); }
  };

 private:
  static __m128 sums_of(F a, F b, F c, F d) {
    const F ab = add(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    const F cd = add(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    const F abcd = add(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
    const F pairs = add(abcd, _mm512_permute_ps(abcd, 0x4e));
    const F sums = add(pairs, _mm512_permute_ps(pairs, 0xb1));
    const __m512i lanes = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    return _mm512_castps512_ps128(_mm512_permutexvar_ps(lanes, sums));
  }
  template <typename T>
  static T read(const void* from) {
    T value;
    __builtin_memcpy(&value, from, sizeof(value));
    return value;
  }
  static F from_bf16(__m256i bits) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }
};

}  // namespace
}  // namespace lille::kernels::avx512
