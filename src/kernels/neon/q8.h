#pragma once

#include "kernels/block_formats.h"
#include "kernels/kernel_types.h"
#include "kernels/neon/vec.h"

namespace lille::kernels::neon {
namespace {

/// The primitives that src/kernels/simd/matmul_q8.inl.h is written over: 32 codes, a block, at a time. A Dot
/// has the products of one register of codes:
///   kTakesUnsigned  whether codes may be above 127;
///   add(sums, codes, x)  sums + codes * x, each lane the sum of its four.
template <typename Dot>
struct Q8 {
  using V = Vec;
  using I = Vec::I;
  static constexpr int64_t kCodes = 32;  ///< Bytes of a vector.
  static constexpr int kOuts = 8;        ///< Outputs of a panel: the int32 lanes of a vector.
  // 6 sums of integers, 6 of floats and the codes use 26 of the 32 registers.
  static constexpr int kTileRows = 6;
  /// Rows of x from which a panel of weights is laid out for tiles first.
  static constexpr int64_t kPackRows = 3;

  static I load_x(const int8_t* from) { return load(from); }
  static I load(const void* from) {
    const auto* bytes = static_cast<const uint8_t*>(from);
    return of_bytes(vld1q_u8(bytes), vld1q_u8(bytes + 16));
  }
  static void store(void* to, I v) {
    auto* bytes = static_cast<uint8_t*>(to);
    vst1q_u8(bytes, low_bytes(v));
    vst1q_u8(bytes + 16, high_bytes(v));
  }
  static I set_int(int value) { return Vec::set_int(value); }

  /// The largest |x| of 32, by its bits, in which NaN is larger than infinity.
  static uint32_t largest_bits(const float* x) {
    uint32x4_t largest = vdupq_n_u32(0);
    for (int idx = 0; idx < 32; idx += 4)
      largest = vmaxq_u32(largest, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + idx))));
    return vmaxvq_u32(largest);
  }
  /// Writes the 32 codes of x * inverse, rounded to nearest, ties to even; returns their sum.
  static int round_block(int8_t* codes, const float* x, float inverse) {
    int32x4_t sums = vdupq_n_s32(0);
    for (int idx = 0; idx < 32; idx += 16) {
      int32x4_t words[4];
      for (int word = 0; word < 4; ++word) {
        words[word] = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + idx + 4 * word), inverse));
        sums = vaddq_s32(sums, words[word]);
      }
      const int16x8_t first = vmovn_high_s32(vmovn_s32(words[0]), words[1]);
      const int16x8_t last = vmovn_high_s32(vmovn_s32(words[2]), words[3]);
      vst1q_s8(codes + idx, vmovn_high_s16(vmovn_s16(first), last));
    }
    return vaddvq_s32(sums);
  }

  /// What dot takes off each code of kBits.
  template <int kBits>
  static constexpr int kShift = kBits == 8 && !Dot::kTakesUnsigned ? 128 : 0;

  /// sums + (codes - kShift) * x, each lane the sum of its four.
  template <int kBits>
  static I dot(I sums, I codes, I x) {
    if constexpr (kShift<kBits> != 0) codes = flip_top_bits(codes);
    return {Dot::add(sums.low, low_bytes(codes), vreinterpretq_s8_s32(x.low)),
            Dot::add(sums.high, high_bytes(codes), vreinterpretq_s8_s32(x.high))};
  }
  /// sums + codes * x with the same four codes of x in every lane; kWide: codes go up to 255 (dot<8>).
  template <bool kWide>
  static I dot_broadcast(I sums, I codes, const int8_t* x) {
    int four;
    __builtin_memcpy(&four, x, sizeof(four));
    return dot < kWide ? 8 : 4 > (sums, codes, set_int(four));
  }
  static I low_halves(I codes) { return of_bytes(low_half(low_bytes(codes)), low_half(high_bytes(codes))); }
  static I high_halves(I codes) {
    return of_bytes(vshrq_n_u8(low_bytes(codes), 4), vshrq_n_u8(high_bytes(codes), 4));
  }

  /// The sums of the four lanes of each half of a, b, c and d: [a b c d] in either half.
  template <int kBits>
  static I sums_of_four(I a, I b, I c, I d) {
    return {vpaddq_s32(vpaddq_s32(a.low, b.low), vpaddq_s32(c.low, d.low)),
            vpaddq_s32(vpaddq_s32(a.high, b.high), vpaddq_s32(c.high, d.high))};
  }
  /// From the sums of four rows each: lane r of the result is the sum over the block of row r.
  static void sums_of_blocks(const I (&fours)[2], I (&blocks)[1]) {
    blocks[0] = {vaddq_s32(fours[0].low, fours[0].high), vaddq_s32(fours[1].low, fours[1].high)};
  }

  /// From rows of eight groups of four codes to groups of eight rows, in place.
  static void transpose(I (&v)[kOuts]) {
    int32x4_t low_columns[8];
    int32x4_t high_columns[8];
    for (int i = 0; i < 8; i += 4) {
      transpose_4(low_columns + i, v[i].low, v[i + 1].low, v[i + 2].low, v[i + 3].low);
      transpose_4(high_columns + i, v[i].high, v[i + 1].high, v[i + 2].high, v[i + 3].high);
    }
    for (int i = 0; i < 4; ++i) {
      v[i] = {low_columns[i], low_columns[i + 4]};
      v[i + 4] = {high_columns[i], high_columns[i + 4]};
    }
  }

  /// 32 codes of kBits from a stream, a byte each.
  template <int kBits>
  static I load_stream(const void* from, bool) {
    if constexpr (kBits == 8) return load(from);
    const auto* bytes = static_cast<const uint8_t*>(from);
    if constexpr (kBits == 4) {
      const uint8x16_t pairs = vld1q_u8(bytes);
      const uint8x16_t even = low_half(pairs);
      const uint8x16_t odd = vshrq_n_u8(pairs, 4);
      return of_bytes(vzip1q_u8(even, odd), vzip2q_u8(even, odd));
    }
    return of_bytes(
        vcombine_u8(eight_fields<kBits>(bytes), eight_fields<kBits>(bytes + kBits)),
        vcombine_u8(eight_fields<kBits>(bytes + 2 * kBits), eight_fields<kBits>(bytes + 3 * kBits)));
  }

  static I load_codes(const BlockQ8_0* blocks, bool) { return flip_top_bits(load(blocks->codes)); }
  template <typename Block>
  static I load_codes_of_4(const Block* blocks, bool) {
    return halves(blocks->codes);
  }
  template <typename Block>
  static I load_codes_of_5(const Block* blocks, bool) {
    return V::or_int(halves(blocks->codes), fifth_bits(blocks->high_bits));
  }

 private:
  static uint8x16_t low_bytes(I v) { return vreinterpretq_u8_s32(v.low); }
  static uint8x16_t high_bytes(I v) { return vreinterpretq_u8_s32(v.high); }
  static I of_bytes(uint8x16_t low, uint8x16_t high) {
    return {vreinterpretq_s32_u8(low), vreinterpretq_s32_u8(high)};
  }
  static uint8x16_t low_half(uint8x16_t bytes) { return vandq_u8(bytes, vdupq_n_u8(15)); }
  static I flip_top_bits(I codes) {
    const uint8x16_t top = vdupq_n_u8(128);
    return of_bytes(veorq_u8(low_bytes(codes), top), veorq_u8(high_bytes(codes), top));
  }
  static void transpose_4(int32x4_t* columns, int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d) {
    const int64x2_t ab_even = vreinterpretq_s64_s32(vtrn1q_s32(a, b));
    const int64x2_t ab_odd = vreinterpretq_s64_s32(vtrn2q_s32(a, b));
    const int64x2_t cd_even = vreinterpretq_s64_s32(vtrn1q_s32(c, d));
    const int64x2_t cd_odd = vreinterpretq_s64_s32(vtrn2q_s32(c, d));
    columns[0] = vreinterpretq_s32_s64(vtrn1q_s64(ab_even, cd_even));
    columns[1] = vreinterpretq_s32_s64(vtrn1q_s64(ab_odd, cd_odd));
    columns[2] = vreinterpretq_s32_s64(vtrn2q_s64(ab_even, cd_even));
    columns[3] = vreinterpretq_s32_s64(vtrn2q_s64(ab_odd, cd_odd));
  }

  /// Eight codes of kBits, which are kBits bytes. A code lies in the two bytes from first(code) on, or in
  /// one.
  template <int kBits>
  static uint8x8_t eight_fields(const uint8_t* bytes) {
    uint64_t stream = 0;
    __builtin_memcpy(&stream, bytes, kBits);
    const auto first = [](int code) { return static_cast<uint8_t>(code * kBits / 8); };
    const auto second = [](int code) { return static_cast<uint8_t>(code * kBits / 8 + 1); };
    const auto shift = [](int code) { return static_cast<int16_t>(-(code * kBits % 8)); };
    const uint8x16_t bytes_of = {first(0), second(0), first(1), second(1), first(2), second(2),
                                 first(3), second(3), first(4), second(4), first(5), second(5),
                                 first(6), second(6), first(7), second(7)};
    const int16x8_t right = {shift(0), shift(1), shift(2), shift(3), shift(4), shift(5), shift(6), shift(7)};
    const uint8x16_t table = vcombine_u8(vcreate_u8(stream), vdup_n_u8(0));
    const uint16x8_t fields = vshlq_u16(vreinterpretq_u16_u8(vqtbl1q_u8(table, bytes_of)), right);
    return vand_u8(vmovn_u16(fields), vdup_n_u8((1 << kBits) - 1));
  }

  static I halves(const uint8_t* codes) {
    const uint8x16_t bytes = vld1q_u8(codes);
    return of_bytes(low_half(bytes), vshrq_n_u8(bytes, 4));
  }
  /// 16 in the bytes whose bit of the four bytes is set.
  static I fifth_bits(const uint8_t* high_bits) {
    uint32_t bits;
    __builtin_memcpy(&bits, high_bits, sizeof(bits));
    const uint8x16_t bytes = vreinterpretq_u8_u32(vdupq_n_u32(bits));
    const uint8x16_t byte_of = vcombine_u8(vdup_n_u8(0), vdup_n_u8(1));
    const uint8x16_t bit_of = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
    const auto picked = [&](uint8x16_t from) {
      return vandq_u8(vtstq_u8(vqtbl1q_u8(bytes, from), bit_of), vdupq_n_u8(16));
    };
    return of_bytes(picked(byte_of), picked(vaddq_u8(byte_of, vdupq_n_u8(2))));
  }
};

/// What every ARMv8-A processor has: products of 16 bits, added up to 32.
struct DotBySteps {
  static constexpr bool kTakesUnsigned = false;

  static int32x4_t add(int32x4_t sums, uint8x16_t codes, int8x16_t x) {
    const int8x16_t signed_codes = vreinterpretq_s8_u8(codes);
    const int32x4_t first = vpaddlq_s16(vmull_s8(vget_low_s8(signed_codes), vget_low_s8(x)));
    const int32x4_t last = vpaddlq_s16(vmull_high_s8(signed_codes, x));
    return vaddq_s32(sums, vpaddq_s32(first, last));
  }
};

}  // namespace
}  // namespace lille::kernels::neon
