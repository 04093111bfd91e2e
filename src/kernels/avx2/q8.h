#pragma once

#include "kernels/avx2/vec.h"
#include "kernels/block_formats.h"
#include "kernels/kernel_types.h"

namespace lille::kernels::avx2 {
namespace {

/// The primitives that src/kernels/simd/matmul_q8.inl.h is written over: 32 codes, a block, at a time.
struct Q8 {
  using V = Vec;
  using I = __m256i;
  static constexpr int64_t kCodes = 32;  ///< Bytes of a vector.
  static constexpr int kOuts = 8;        ///< Outputs of a panel: the int32 lanes of a vector.
  // 6 sums of integers, 6 of floats, weights as two vectors, those of x and a mask use all 16 registers.
  static constexpr int kTileRows = 6;
  // Against two panels 6 sums of integers, 6 of floats, two vectors of weights and one of x use 15.
  static constexpr int kTwoPanelsTileRows = 3;
  /// Rows of x from which two packed panels are laid out: 8 rows from memory are 5 % faster so, 6 a tenth
  /// slower.
  static constexpr int64_t kTwoPanelsLeastRows = 7;
  /// Rows of x from which a panel of weights is laid out for tiles first.
  static constexpr int64_t kPackRows = 3;

  static I load_x(const int8_t* from) { return load(from); }
  static I load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
  static void store(void* to, I v) { _mm256_storeu_si256(static_cast<__m256i*>(to), v); }
  static I set_int(int value) { return _mm256_set1_epi32(value); }
  /// Four codes of x, or two words, in every lane.
  static I broadcast_x(const void* from) {
    int codes;
    __builtin_memcpy(&codes, from, sizeof(codes));
    return _mm256_set1_epi32(codes);
  }

  /// The largest |x| of 32, by its bits, in which NaN is larger than infinity.
  static uint32_t largest_bits(const float* x) {
    I largest = _mm256_setzero_si256();
    for (int idx = 0; idx < 32; idx += 8)
      largest = _mm256_max_epi32(largest, _mm256_and_si256(load(x + idx), _mm256_set1_epi32(0x7fffffff)));
    const __m128i four = _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
    const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xb1))));
  }
  /// Writes the 32 codes of x * inverse, rounded to nearest, ties to even; returns their sum.
  static int round_block(int8_t* codes, const float* x, float inverse) {
    I words[4];
    for (int idx = 0; idx < 4; ++idx)
      words[idx] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * idx), _mm256_set1_ps(inverse)));
    const I packed =
        _mm256_packs_epi16(_mm256_packs_epi32(words[0], words[1]), _mm256_packs_epi32(words[2], words[3]));
    store(codes, _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
    const I eight =
        _mm256_add_epi32(_mm256_add_epi32(words[0], words[1]), _mm256_add_epi32(words[2], words[3]));
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
  }

  /// What dot takes off each code of kBits.
  template <int kBits>
  static constexpr int kShift = kBits == 8 ? 128 : 0;

  /// sums + (codes - kShift) * x, each lane the sum of its four. Pairs are summed in 16 bits, which 8-bit
  /// codes fit as |code - 128| * |x| only: 2 * 128 * 127 < 2^15.
  template <int kBits>
  static I dot(I sums, I codes, I x) {
    const I ones = _mm256_set1_epi16(1);
    if constexpr (kBits < 8)
      return _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_maddubs_epi16(codes, x), ones));
    const I signed_codes = _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
    const I pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(signed_codes), _mm256_sign_epi8(x, signed_codes));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, ones));
  }

  /// sums + codes * x with the same four codes of x in every lane; kWide: codes go up to 255 (dot<8>).
  template <bool kWide>
  static I dot_broadcast(I sums, I codes, const int8_t* x) {
    return dot < kWide ? 8 : 4 > (sums, codes, broadcast_x(x));
  }

  /// Whether panels of codes up to 255 meet x in 16 bits: two instructions for 16 products, which bytes of
  /// that range need for 32 after two more that make their signs fit.
  static constexpr bool kMultipliesWords = true;
  /// The first and third codes of four, and the second and fourth, in 16 bits.
  static I even_words(I codes) { return _mm256_and_si256(codes, _mm256_set1_epi16(255)); }
  static I odd_words(I codes) { return _mm256_srli_epi16(codes, 8); }
  template <int kOffset>
  static I sub_words(I words) {
    return kOffset == 0 ? words : _mm256_sub_epi16(words, _mm256_set1_epi16(kOffset));
  }
  /// sums + words * x, each lane the sum of its two.
  static I dot_words(I sums, I words, I x) {
    return in_order(_mm256_add_epi32(sums, _mm256_madd_epi16(words, x)));
  }
  /// The same with two words of x in every lane.
  static I dot_words(I sums, I words, const int16_t* x) { return dot_words(sums, words, broadcast_x(x)); }
  /// pairs + codes * x, each 16 bits the sum of their two.
  static I dot_pairs(I pairs, I codes, I x) {
    return in_order(_mm256_add_epi16(pairs, _mm256_maddubs_epi16(codes, x)));
  }
  /// The same with four codes of x in every lane.
  static I dot_pairs(I pairs, I codes, const int8_t* x) { return dot_pairs(pairs, codes, broadcast_x(x)); }
  static I sums_of_pairs(I pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }
  /// 32 codes in the order of Q8Rows::words.
  static void widen(int16_t* words, const int8_t* codes) {
    const I order =
        _mm256_setr_epi64x(0x0706030205040100, 0x0f0e0b0a0d0c0908, 0x0706030205040100, 0x0f0e0b0a0d0c0908);
    for (int idx = 0; idx < 32; idx += 16)
      store(words + idx, _mm256_shuffle_epi8(_mm256_cvtepi8_epi16(load_128(codes + idx)), order));
  }

  static I low_halves(I codes) { return _mm256_and_si256(codes, _mm256_set1_epi8(15)); }
  static I high_halves(I codes) { return low_halves(_mm256_srli_epi16(codes, 4)); }

  /// The sums of the four lanes of each half of a, b, c and d: [a b c d] in either half.
  template <int kBits>
  static I sums_of_four(I a, I b, I c, I d) {
    const I ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    const I cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    return _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
  }
  /// From the sums of four rows each: lane r of the result is the sum over the block of row r.
  static void sums_of_blocks(const I (&fours)[2], I (&blocks)[1]) {
    blocks[0] = _mm256_add_epi32(_mm256_permute2x128_si256(fours[0], fours[1], 0x20),
                                 _mm256_permute2x128_si256(fours[0], fours[1], 0x31));
  }

  /// From rows of eight groups of four codes to groups of eight rows, in place.
  static void transpose(I (&v)[kOuts]) {
    I pairs[8];
    for (int i = 0; i < 8; i += 2) {
      pairs[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
      pairs[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
    }
    I fours[8];
    for (int i = 0; i < 8; i += 4) {
      fours[i] = _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]);
      fours[i + 1] = _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]);
      fours[i + 2] = _mm256_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
      fours[i + 3] = _mm256_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    for (int i = 0; i < 4; ++i) {
      v[i] = _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x20);
      v[i + 4] = _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x31);
    }
  }

  /// 32 codes of kBits from a stream, a byte each.
  template <int kBits>
  static I load_stream(const void* from, bool) {
    if constexpr (kBits == 8) return load(from);
    if constexpr (kBits == 4) {
      const I bytes = _mm256_cvtepu8_epi16(load_128(from));
      return _mm256_and_si256(_mm256_or_si256(bytes, _mm256_slli_epi16(bytes, 4)), _mm256_set1_epi8(15));
    }
    constexpr uint64_t kEachByte = 0x0101010101010101 * ((uint64_t{1} << kBits) - 1);
    const auto* bytes = static_cast<const unsigned char*>(from);
    long long eights[4];
    for (int idx = 0; idx < 4; ++idx) {
      uint64_t stream = 0;
      __builtin_memcpy(&stream, bytes + idx * kBits, kBits);
      eights[idx] = static_cast<long long>(_pdep_u64(stream, kEachByte));
    }
    return _mm256_setr_epi64x(eights[0], eights[1], eights[2], eights[3]);
  }

  static I load_codes(const BlockQ8_0* blocks, bool) {
    return _mm256_xor_si256(load(blocks->codes), _mm256_set1_epi8(-128));
  }
  template <typename Block>
  static I load_codes_of_4(const Block* blocks, bool) {
    return halves(blocks->codes);
  }
  template <typename Block>
  static I load_codes_of_5(const Block* blocks, bool) {
    return _mm256_or_si256(halves(blocks->codes), fifth_bits(blocks->high_bits));
  }

 private:
  /// Integers may be added in any order, and GCC would add products to each other first, more of them than
  /// there are registers (128 rows at half the speed).
  static I in_order(I sums) {
    V::hide(sums);
    return sums;
  }
  static __m128i load_128(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }
  static I halves(const uint8_t* codes) {
    const __m128i bytes = load_128(codes);
    return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes), _mm256_set1_epi8(15));
  }
  /// 16 in the bytes whose bit of the four bytes is set.
  static I fifth_bits(const uint8_t* high_bits) {
    int bits;
    __builtin_memcpy(&bits, high_bits, sizeof(bits));
    const I byte_of = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const I bit_of = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
    const I picked = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(bits), byte_of), bit_of);
    return _mm256_and_si256(_mm256_cmpeq_epi8(picked, bit_of), _mm256_set1_epi8(16));
  }
};

}  // namespace
}  // namespace lille::kernels::avx2
