#pragma once

#include "kernels/avx512/vec.h"
#include "kernels/block_formats.h"
#include "kernels/kernel_types.h"

namespace lille::kernels::avx512vnni {
namespace {

/// The primitives that src/kernels/simd/matmul_q8.inl.h is written over: 64 codes, two blocks, at a time,
/// with VNNI's product of unsigned and signed bytes. Where a row ends with one block (`whole` is false), the
/// other 32 codes are whatever: x has zeros there.
struct Q8 {
  using V = avx512::Vec;
  using I = __m512i;
  static constexpr int64_t kCodes = 64;  ///< Bytes of a vector.
  static constexpr int kOuts = 16;       ///< Outputs of a panel: the int32 lanes of a vector.
  // 12 sums of integers and 12 of floats leave 8 of the 32 registers.
  static constexpr int kTileRows = 12;
  /// Rows of x from which a panel of weights is laid out for tiles first.
  static constexpr int64_t kPackRows = 3;

  static I load_x(const int8_t* from) { return load(from); }
  static I load(const void* from) { return _mm512_loadu_si512(from); }
  static void store(void* to, I v) { _mm512_storeu_si512(to, v); }
  static I set_int(int value) { return _mm512_set1_epi32(value); }
  /// Four codes of x in every lane.
  static I broadcast_x(const int8_t* from) {
    int codes;
    __builtin_memcpy(&codes, from, sizeof(codes));
    return _mm512_set1_epi32(codes);
  }

  /// The largest |x| of 32, by its bits, in which NaN is larger than infinity.
  static uint32_t largest_bits(const float* x) {
    const I sign_off = set_int(0x7fffffff);
    return _mm512_reduce_max_epu32(
        _mm512_max_epu32(_mm512_and_si512(load(x), sign_off), _mm512_and_si512(load(x + 16), sign_off)));
  }
  /// Writes the 32 codes of x * inverse, rounded to nearest, ties to even; returns their sum.
  static int round_block(int8_t* codes, const float* x, float inverse) {
    const I first = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), _mm512_set1_ps(inverse)));
    const I last = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + 16), _mm512_set1_ps(inverse)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes), _mm512_cvtepi32_epi8(first));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + 16), _mm512_cvtepi32_epi8(last));
    return _mm512_reduce_add_epi32(_mm512_add_epi32(first, last));
  }

  /// What dot takes off each code.
  template <int kBits>
  static constexpr int kShift = 0;

  /// sums + codes * x, each lane the sum of its four.
  template <int kBits>
  static I dot(I sums, I codes, I x) {
    return _mm512_dpbusd_epi32(sums, codes, x);
  }

  /// sums + codes * x with the same four codes of x in every lane. The instruction reads and spreads them
  /// itself, which GCC 12 does not find; it also copies each sum for the intrinsic (12 rows: 60 instructions
  /// instead of 25).
  template <bool kWide>
  static I dot_broadcast(I sums, I codes, const int8_t* x) {
    asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sums) : "v"(codes), "m"(*reinterpret_cast<const int(*)[1]>(x)));
    return sums;
  }
  static I low_halves(I codes) { return low_bits<4>(codes); }
  static I high_halves(I codes) { return low_bits<4>(_mm512_srli_epi16(codes, 4)); }

  /// The sums of the four lanes of each quarter of a, b, c and d: [a b c d] in every quarter.
  template <int kBits>
  static I sums_of_four(I a, I b, I c, I d) {
    if constexpr (kBits <= 5) {
      // Two of the sums of four products fit 16 bits: 2 * 4 * 31 * 127 < 2^15.
      const I ones = _mm512_set1_epi16(1);
      const I ab = _mm512_madd_epi16(_mm512_packs_epi32(a, b), ones);
      const I cd = _mm512_madd_epi16(_mm512_packs_epi32(c, d), ones);
      return _mm512_madd_epi16(_mm512_packs_epi32(ab, cd), ones);
    }
    const I ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    const I cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  }
  /// From the sums of four rows each: lane r of result b is the sum over block b of row r.
  static void sums_of_blocks(const I (&fours)[4], I (&blocks)[2]) {
    const I first = halves(fours[0], fours[1]);
    const I last = halves(fours[2], fours[3]);
    blocks[0] = _mm512_shuffle_i32x4(first, last, 0x88);
    blocks[1] = _mm512_shuffle_i32x4(first, last, 0xdd);
  }

  /// From rows of sixteen groups of four codes to groups of sixteen rows, in place.
  static void transpose(I (&v)[kOuts]) { V::transpose(v); }

  /// 64 codes of kBits from a stream, a byte each.
  template <int kBits>
  static I load_stream(const void* from, bool whole) {
    if (kBits == 4 && whole) {
      const I bytes = _mm512_cvtepu8_epi16(load_256(from));
      return low_bits<4>(_mm512_or_si512(bytes, _mm512_slli_epi16(bytes, 4)));
    }
    const I stream = load_up_to(from, whole ? 8 * kBits : 4 * kBits);
    if constexpr (kBits == 8) return stream;
    // Each eight codes are the kBits bytes of one 64-bit lane first, then a byte each.
    alignas(64) static constexpr Bytes kBytesOfEight =
        bytes([](int idx) { return idx / 8 * kBits + idx % 8; });
    alignas(64) static constexpr Bytes kFirstBit = bytes([](int idx) { return idx % 8 * kBits; });
    const I eights = _mm512_permutexvar_epi8(load(kBytesOfEight.values), stream);
    return low_bits<kBits>(_mm512_multishift_epi64_epi8(load(kFirstBit.values), eights));
  }

  static I load_codes(const BlockQ8_0* blocks, bool whole) {
    const auto* next = whole ? blocks + 1 : blocks;
    const I codes =
        _mm512_inserti64x4(_mm512_castsi256_si512(load_256(blocks->codes)), load_256(next->codes), 1);
    return _mm512_xor_si512(codes, _mm512_set1_epi8(-128));
  }
  template <typename Block>
  static I load_codes_of_4(const Block* blocks, bool whole) {
    constexpr int kBlockBytes = sizeof(Block);
    constexpr int kFirst = kBlockBytes - 16;
    // The 16 bytes of a block's codes twice: once for the low halves, once for the high ones.
    alignas(64) static constexpr Bytes kBytes =
        bytes([](int idx) { return idx / 32 * kBlockBytes + kFirst + idx % 16; });
    alignas(64) static constexpr Bytes kFirstBit =
        bytes([](int idx) { return idx % 8 * 8 + idx % 32 / 16 * 4; });
    const I blocks_bytes = load_up_to(blocks, whole ? 2 * kBlockBytes : kBlockBytes);
    const I halves = _mm512_permutexvar_epi8(load(kBytes.values), blocks_bytes);
    return low_bits<4>(_mm512_multishift_epi64_epi8(load(kFirstBit.values), halves));
  }
  template <typename Block>
  static I load_codes_of_5(const Block* blocks, bool whole) {
    const Block* next = whole ? blocks + 1 : blocks;
    const uint64_t high_bits = read_32(blocks->high_bits) | uint64_t{read_32(next->high_bits)} << 32;
    const I low = load_codes_of_4(blocks, whole);
    return _mm512_mask_add_epi8(low, high_bits, low, _mm512_set1_epi8(16));
  }

 private:
  struct Bytes {
    uint8_t values[64];
  };
  template <typename Of>
  static constexpr Bytes bytes(Of of) {
    Bytes result{};
    for (int idx = 0; idx < 64; ++idx) result.values[idx] = static_cast<uint8_t>(of(idx));
    return result;
  }

  /// The first n of 64 bytes, and zeros.
  static I load_up_to(const void* from, int n) {
    if (n == 64) return load(from);
    return _mm512_maskz_loadu_epi8((uint64_t{1} << n) - 1, from);
  }
  static __m256i load_256(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
  static uint32_t read_32(const uint8_t* from) {
    uint32_t value;
    __builtin_memcpy(&value, from, sizeof(value));
    return value;
  }
  template <int kBits>
  static I low_bits(I bytes) {
    return _mm512_and_si512(bytes, _mm512_set1_epi8((1 << kBits) - 1));
  }

  /// Quarters: block 0 of a's rows, block 1 of them, then b's.
  static I halves(I a, I b) {
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
  }
};

}  // namespace
}  // namespace lille::kernels::avx512vnni
