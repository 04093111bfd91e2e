#pragma once

#include <immintrin.h>

#include <cstdint>

namespace lille::kernels::avx2 {
namespace {

/// Eight float32 lanes: the primitives that src/kernels/simd is written over. `_n` reads or writes the first
/// n lanes only, 0 < n < kLanes, and reads the others as zero.
struct Vec {
  using F = __m256;
  using I = __m256i;  ///< Eight int32 lanes.
  static constexpr int64_t kLanes = 8;
  /// simd::prefetch_step: processors without AVX-512 want every line (Zen 3, one thread, packed 4 bits: 98 to
  /// 121 tokens/s instead of 65 to 76 with one line in four).
  static constexpr int64_t kPrefetchStep = 64;

  // 3 x 4 accumulators, 3 inputs and 1 weight use all 16 registers.
  static constexpr int kTileRows = 3;
  /// Outputs computed side by side for one row: enough chains to hide the latency of a fused multiply-add.
  /// Each quantised output also needs its scale and bias in registers.
  static constexpr int kQuantisedRowOuts = 4;
  /// Rows of x from which bfloat16 weights are expanded first. Converting them takes execution ports from the
  /// products: 87 GFLOP/s against 106 at 128 rows on a Zen 4 core.
  static constexpr int64_t kExpandBf16Rows = 24;

  static F zero() { return _mm256_setzero_ps(); }
  static F set(float value) { return _mm256_set1_ps(value); }
  static F load(const void* from) { return _mm256_loadu_ps(static_cast<const float*>(from)); }
  static F load_n(const void* from, int64_t n) {
    return _mm256_maskload_ps(static_cast<const float*>(from), first(n));
  }
  static void store(float* to, F v) { _mm256_storeu_ps(to, v); }
  static void store_n(float* to, F v, int64_t n) { _mm256_maskstore_ps(to, first(n), v); }
  static F keep_n(F v, int64_t n) { return _mm256_and_ps(v, _mm256_castsi256_ps(first(n))); }

  static F load_bf16(const void* from) { return from_bf16(load_8_halves(from)); }
  static F load_bf16_n(const void* from, int64_t n) { return from_bf16(load_n_halves(from, n)); }
  static F load_f16(const void* from) { return _mm256_cvtph_ps(load_8_halves(from)); }
  static F load_f16_n(const void* from, int64_t n) { return _mm256_cvtph_ps(load_n_halves(from, n)); }

  /// Whether look_up exists: the element of a vector of 16 that the low four bits of each lane name.
  static constexpr bool kLooksUp16 = false;

  static I load_u8(const void* from) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(from)));
  }
  static I load_i8(const void* from) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(from)));
  }
  /// Eight codes of kBits from a stream, one a lane, with other bits above them; reads no byte more.
  template <int kBits>
  static I load_fields(const void* from) {
    const uint64_t stream = read_bytes<kBits>(from);
    const __m128i first_four = _mm_set1_epi32(static_cast<int>(stream));
    const __m128i last_four = _mm_set1_epi32(static_cast<int>(stream >> (4 * kBits)));
    return shift_right(_mm256_set_m128i(last_four, first_four),
                       _mm256_setr_epi32(0, kBits, 2 * kBits, 3 * kBits, 0, kBits, 2 * kBits, 3 * kBits));
  }
  static I lane_indices() { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
  /// Has the compiler forget what a register holds.
  static void hide(I& v) { asm("" : "+x"(v)); }
  static I set_int(int value) { return _mm256_set1_epi32(value); }
  static I broadcast_int(const void* from) { return set_int(read<int>(from)); }
  static I and_int(I a, I b) { return _mm256_and_si256(a, b); }
  static I or_int(I a, I b) { return _mm256_or_si256(a, b); }
  static I add_int(I a, I b) { return _mm256_add_epi32(a, b); }
  static I sub_int(I a, I b) { return _mm256_sub_epi32(a, b); }
  static I shift_left(I a, I n) { return _mm256_sllv_epi32(a, n); }
  static I shift_right(I a, I n) { return _mm256_srlv_epi32(a, n); }
  static F to_float(I a) { return _mm256_cvtepi32_ps(a); }

  /// From rows to columns, in place.
  static void transpose(F (&v)[kLanes]) {
    F pairs[8];
    for (int i = 0; i < 8; i += 2) {
      pairs[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
      pairs[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
    for (int i = 0; i < 4; ++i) {
      // Columns i and 4 + i of the first four rows, and of the last four.
      const int pair = i / 2;
      const F first = fours(pairs[pair], pairs[pair + 2], i % 2 != 0);
      const F last = fours(pairs[pair + 4], pairs[pair + 6], i % 2 != 0);
      v[i] = _mm256_permute2f128_ps(first, last, 0x20);
      v[4 + i] = _mm256_permute2f128_ps(first, last, 0x31);
    }
  }

  /// One element in every lane.
  static F broadcast_f32(const void* from) { return set(read<float>(from)); }
  static F broadcast_bf16(const void* from) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_set1_epi16(read<int16_t>(from)), 16));
  }
  static F broadcast_f16(const void* from) { return _mm256_cvtph_ps(_mm_set1_epi16(read<int16_t>(from))); }

  /// a * b + c, rounded once.
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F sqrt(F a) { return _mm256_sqrt_ps(a); }
  /// b where either is NaN.
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  /// b where either is NaN.
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F round(F a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  /// a * 2^n for whole n in [-250, 250] and a near 1. Two factors, because 2^n alone can leave the exponent's
  /// range; only the second product rounds.
  static F scale_by_power(F a, F n) {
    const __m256i whole = _mm256_cvtps_epi32(n);
    const __m256i half = _mm256_srai_epi32(whole, 1);
    return mul(mul(a, power_of_2(half)), power_of_2(_mm256_sub_epi32(whole, half)));
  }

  static float first_lane(F a) { return _mm256_cvtss_f32(a); }

  /// The sums of four vectors, one after the other in out. Halves are folded onto each other until one lane
  /// is left, the order of every sum of lanes in this folder.
  static void sum4(float* out, F a, F b, F c, F d) { _mm_storeu_ps(out, sums_of(a, b, c, d)); }
  static float sum(F a) { return _mm_cvtss_f32(sums_of(a, a, a, a)); }
  /// The largest lane; no lane may be NaN.
  static float largest(F a) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }

  /// Bit i says that lanes i are equal.
  static uint32_t equal(F a, F b) {
    return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ)));
  }

  /// Eight float64 lanes.
  struct DoubleSum {
    __m256d low = _mm256_setzero_pd();
    __m256d high = _mm256_setzero_pd();

    void add(F a) {
      low = _mm256_add_pd(low, _mm256_cvtps_pd(_mm256_castps256_ps128(a)));
      high = _mm256_add_pd(high, _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)));
    }
    double total() const {
      double lanes[4];
      _mm256_storeu_pd(lanes, _mm256_add_pd(low, high));
      return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
    }
  };

 private:
  /// The low or high pairs of each half of a and b.
  static F fours(F a, F b, bool high) {
    return high ? _mm256_shuffle_ps(a, b, 0xee) : _mm256_shuffle_ps(a, b, 0x44);
  }
  static __m128 sums_of(F a, F b, F c, F d) {
    const F ab = add(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
    const F cd = add(_mm256_permute2f128_ps(c, d, 0x20), _mm256_permute2f128_ps(c, d, 0x31));
    const F pairs = add(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
    const F sums = add(_mm256_shuffle_ps(pairs, pairs, 0x88), _mm256_shuffle_ps(pairs, pairs, 0xdd));
    return _mm_unpacklo_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
  }
  template <typename T>
  static T read(const void* from) {
    T value;
    __builtin_memcpy(&value, from, sizeof(value));
    return value;
  }
  /// kBytes of 2 to 6 as a little-endian number.
  template <int kBytes>
  static uint64_t read_bytes(const void* from) {
    const auto* bytes = static_cast<const unsigned char*>(from);
    uint64_t number = 0;
    if constexpr (kBytes == 2 || kBytes == 3) number = read<uint16_t>(bytes);
    if constexpr (kBytes == 3) number |= uint64_t{bytes[2]} << 16;
    if constexpr (kBytes >= 4) number = read<uint32_t>(bytes);
    if constexpr (kBytes == 5) number |= uint64_t{bytes[4]} << 32;
    if constexpr (kBytes == 6) number |= uint64_t{read<uint16_t>(bytes + 4)} << 32;
    return number;
  }
  static __m256i first(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane_indices());
  }
  static __m128i load_8_halves(const void* from) {
    return _mm_loadu_si128(static_cast<const __m128i*>(from));
  }
  static __m128i load_n_halves(const void* from, int64_t n) {
    uint16_t halves[8] = {};
    __builtin_memcpy(halves, from, static_cast<std::size_t>(2 * n));
    return load_8_halves(halves);
  }
  static F from_bf16(__m128i bits) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  static F power_of_2(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
  }
};

}  // namespace
}  // namespace lille::kernels::avx2
