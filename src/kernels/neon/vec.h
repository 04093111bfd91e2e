#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace lille::kernels::neon {
namespace {

/// Eight float32 lanes in two registers: the primitives that src/kernels/simd is written over. `_n` reads or
/// writes the first n lanes only, 0 < n < kLanes, and reads the others as zero.
struct Vec {
  struct F {
    float32x4_t low;
    float32x4_t high;
  };
  /// Eight int32 lanes.
  struct I {
    int32x4_t low;
    int32x4_t high;
  };
  // Eight, although a register has four: codes of 3 and 5 bits fill whole bytes by eights, and sums have as
  // many partial sums as the bounds of the tests count.
  static constexpr int64_t kLanes = 8;

  // 3 x 4 accumulators, 3 inputs and 1 weight use all 32 registers.
  static constexpr int kTileRows = 3;
  /// Outputs computed side by side for one row: enough chains to hide the latency of a fused multiply-add.
  static constexpr int kQuantisedRowOuts = 4;
  /// Rows of x from which bfloat16 weights are expanded first: never, converting them is one shift.
  static constexpr int64_t kExpandBf16Rows = INT64_MAX;

  static F zero() { return set(0.0f); }
  static F set(float value) { return {vdupq_n_f32(value), vdupq_n_f32(value)}; }
  static F load(const void* from) {
    const auto* bytes = static_cast<const uint8_t*>(from);
    return {vreinterpretq_f32_u8(vld1q_u8(bytes)), vreinterpretq_f32_u8(vld1q_u8(bytes + 16))};
  }
  static F load_n(const void* from, int64_t n) {
    float lanes[kLanes] = {};
    __builtin_memcpy(lanes, from, static_cast<std::size_t>(4 * n));
    return load(lanes);
  }
  static void store(float* to, F v) {
    vst1q_f32(to, v.low);
    vst1q_f32(to + 4, v.high);
  }
  static void store_n(float* to, F v, int64_t n) {
    float lanes[kLanes];
    store(lanes, v);
    __builtin_memcpy(to, lanes, static_cast<std::size_t>(4 * n));
  }
  static F keep_n(F v, int64_t n) {
    const int32x4_t end = vdupq_n_s32(static_cast<int>(n));
    const I lane = lane_indices();
    return {keep(v.low, vcltq_s32(lane.low, end)), keep(v.high, vcltq_s32(lane.high, end))};
  }

  static F load_bf16(const void* from) { return from_bf16(load_8_halves(from)); }
  static F load_bf16_n(const void* from, int64_t n) { return from_bf16(load_n_halves(from, n)); }
  static F load_f16(const void* from) { return from_f16(load_8_halves(from)); }
  static F load_f16_n(const void* from, int64_t n) { return from_f16(load_n_halves(from, n)); }

  /// Whether look_up exists: the element of a vector of 16 that the low four bits of each lane name.
  static constexpr bool kLooksUp16 = false;

  static I load_u8(const void* from) {
    const uint16x8_t halves = vmovl_u8(vld1_u8(static_cast<const uint8_t*>(from)));
    return {vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(halves))),
            vreinterpretq_s32_u32(vmovl_high_u16(halves))};
  }
  static I load_i8(const void* from) {
    const int16x8_t halves = vmovl_s8(vld1_s8(static_cast<const int8_t*>(from)));
    return {vmovl_s16(vget_low_s16(halves)), vmovl_high_s16(halves)};
  }
  /// Eight codes of kBits from a stream, one a lane, with other bits above them; reads no byte more.
  template <int kBits>
  static I load_fields(const void* from) {
    uint64_t stream = 0;
    __builtin_memcpy(&stream, from, kBits);
    const int32x4_t right = {0, -kBits, -2 * kBits, -3 * kBits};
    return {shifted(vdupq_n_s32(static_cast<int>(stream)), right),
            shifted(vdupq_n_s32(static_cast<int>(stream >> (4 * kBits))), right)};
  }
  static I lane_indices() { return {int32x4_t{0, 1, 2, 3}, int32x4_t{4, 5, 6, 7}}; }
  /// Has the compiler forget what a register holds.
  static void hide(I& v) { asm("" : "+w"(v.low), "+w"(v.high)); }
  static I set_int(int value) { return {vdupq_n_s32(value), vdupq_n_s32(value)}; }
  static I broadcast_int(const void* from) { return set_int(read<int>(from)); }
  static I and_int(I a, I b) { return {vandq_s32(a.low, b.low), vandq_s32(a.high, b.high)}; }
  static I or_int(I a, I b) { return {vorrq_s32(a.low, b.low), vorrq_s32(a.high, b.high)}; }
  static I add_int(I a, I b) { return {vaddq_s32(a.low, b.low), vaddq_s32(a.high, b.high)}; }
  static I sub_int(I a, I b) { return {vsubq_s32(a.low, b.low), vsubq_s32(a.high, b.high)}; }
  static I shift_left(I a, I n) { return {shifted(a.low, n.low), shifted(a.high, n.high)}; }
  static I shift_right(I a, I n) {
    return {shifted(a.low, vnegq_s32(n.low)), shifted(a.high, vnegq_s32(n.high))};
  }
  static F to_float(I a) { return {vcvtq_f32_s32(a.low), vcvtq_f32_s32(a.high)}; }

  /// One element in every lane.
  static F broadcast_f32(const void* from) { return set(read<float>(from)); }
  static F broadcast_bf16(const void* from) { return from_bf16(vdupq_n_u16(read<uint16_t>(from))); }
  static F broadcast_f16(const void* from) { return from_f16(vdupq_n_u16(read<uint16_t>(from))); }

  /// a * b + c, rounded once.
  static F fma(F a, F b, F c) { return {vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)}; }
  static F add(F a, F b) { return {vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)}; }
  static F sub(F a, F b) { return {vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high)}; }
  static F mul(F a, F b) { return {vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)}; }
  static F div(F a, F b) { return {vdivq_f32(a.low, b.low), vdivq_f32(a.high, b.high)}; }
  static F sqrt(F a) { return {vsqrtq_f32(a.low), vsqrtq_f32(a.high)}; }
  /// b where either is NaN, which the instruction for it would not give.
  static F max(F a, F b) { return {larger(a.low, b.low), larger(a.high, b.high)}; }
  /// b where either is NaN.
  static F min(F a, F b) { return {smaller(a.low, b.low), smaller(a.high, b.high)}; }
  static F round(F a) { return {vrndnq_f32(a.low), vrndnq_f32(a.high)}; }
  /// a * 2^n for whole n in [-250, 250] and a near 1. Two factors, because 2^n alone can leave the exponent's
  /// range; only the second product rounds.
  static F scale_by_power(F a, F n) {
    return {scaled_by_power(a.low, vcvtnq_s32_f32(n.low)), scaled_by_power(a.high, vcvtnq_s32_f32(n.high))};
  }

  static float first_lane(F a) { return vgetq_lane_f32(a.low, 0); }

  /// The sums of four vectors, one after the other in out. Halves are folded onto each other until one lane
  /// is left, the order of every sum of lanes in src/kernels.
  static void sum4(float* out, F a, F b, F c, F d) {
    const float32x4_t ab = vcombine_f32(two_sums(a), two_sums(b));
    const float32x4_t cd = vcombine_f32(two_sums(c), two_sums(d));
    vst1q_f32(out, vpaddq_f32(ab, cd));
  }
  static float sum(F a) { return vpadds_f32(two_sums(a)); }
  /// The largest lane; no lane may be NaN.
  static float largest(F a) { return vmaxvq_f32(vmaxq_f32(a.low, a.high)); }

  /// Bit i says that lanes i are equal.
  static uint32_t equal(F a, F b) {
    const uint32x4_t bits_of_low = {1, 2, 4, 8};
    const uint32x4_t bits_of_high = {16, 32, 64, 128};
    return vaddvq_u32(vorrq_u32(vandq_u32(vceqq_f32(a.low, b.low), bits_of_low),
                                vandq_u32(vceqq_f32(a.high, b.high), bits_of_high)));
  }

  /// Eight float64 lanes, of which the upper four are added to the lower.
  struct DoubleSum {
    float64x2_t lanes[4] = {vdupq_n_f64(0), vdupq_n_f64(0), vdupq_n_f64(0), vdupq_n_f64(0)};

    void add(F a) {
      lanes[0] = vaddq_f64(lanes[0], vcvt_f64_f32(vget_low_f32(a.low)));
      lanes[1] = vaddq_f64(lanes[1], vcvt_high_f64_f32(a.low));
      lanes[2] = vaddq_f64(lanes[2], vcvt_f64_f32(vget_low_f32(a.high)));
      lanes[3] = vaddq_f64(lanes[3], vcvt_high_f64_f32(a.high));
    }
    double total() const {
      return vpaddd_f64(vaddq_f64(vaddq_f64(lanes[0], lanes[2]), vaddq_f64(lanes[1], lanes[3])));
    }
  };

 private:
  template <typename T>
  static T read(const void* from) {
    T value;
    __builtin_memcpy(&value, from, sizeof(value));
    return value;
  }
  static float32x4_t keep(float32x4_t v, uint32x4_t mask) {
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), mask));
  }
  /// Zeros come in from either side; to the left for positive n.
  static int32x4_t shifted(int32x4_t a, int32x4_t n) {
    return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), n));
  }
  static float32x4_t larger(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
  static float32x4_t smaller(float32x4_t a, float32x4_t b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
  static float32x2_t two_sums(F a) {
    const float32x4_t four = vaddq_f32(a.low, a.high);
    return vadd_f32(vget_low_f32(four), vget_high_f32(four));
  }
  static uint16x8_t load_8_halves(const void* from) {
    return vreinterpretq_u16_u8(vld1q_u8(static_cast<const uint8_t*>(from)));
  }
  static uint16x8_t load_n_halves(const void* from, int64_t n) {
    uint16_t halves[8] = {};
    __builtin_memcpy(halves, from, static_cast<std::size_t>(2 * n));
    return load_8_halves(halves);
  }
  static F from_bf16(uint16x8_t bits) {
    return {vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(bits), 16)),
            vreinterpretq_f32_u32(vshll_high_n_u16(bits, 16))};
  }
  static F from_f16(uint16x8_t bits) {
    const float16x8_t halves = vreinterpretq_f16_u16(bits);
    return {vcvt_f32_f16(vget_low_f16(halves)), vcvt_high_f32_f16(halves)};
  }
  static float32x4_t power_of_2(int32x4_t n) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
  }
  static float32x4_t scaled_by_power(float32x4_t a, int32x4_t n) {
    const int32x4_t half = vshrq_n_s32(n, 1);
    return vmulq_f32(vmulq_f32(a, power_of_2(half)), power_of_2(vsubq_s32(n, half)));
  }
};

}  // namespace
}  // namespace lille::kernels::neon
