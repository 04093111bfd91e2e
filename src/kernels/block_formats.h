#pragma once

#include <cstdint>

// GGUF's blocks as they lie in a file: fields of bytes, so that a block may begin at any address. Every
// weight is code * scale, or code * scale + bias; scale and product have so few bits that they are exact in
// float32, and the sum is rounded once. Source: ggml-common.h and ggml-quants.c of ggml-org/llama.cpp
// (block_q8_0 and so on).

namespace lille::kernels {

/// Weights of a block.
inline constexpr int64_t kBlockWeights = 32;
/// Weights of a super-block, the K kinds, in sub-blocks of 32 or 16 that have small scales of their own.
inline constexpr int64_t kSuperBlockWeights = 256;

/// scale * code.
struct BlockQ8_0 {
  uint8_t scale[2];  ///< F16.
  int8_t codes[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

/// scale * (code - 8). Low halves of the bytes are weights 0 to 15, high halves 16 to 31; so in the next
/// three.
struct BlockQ4_0 {
  uint8_t scale[2];  ///< F16.
  uint8_t codes[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

/// scale * code + bias.
struct BlockQ4_1 {
  uint8_t scale[2];  ///< F16.
  uint8_t bias[2];   ///< F16.
  uint8_t codes[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

/// scale * (code - 16); bit i of high_bits is the fifth bit of code i.
struct BlockQ5_0 {
  uint8_t scale[2];      ///< F16.
  uint8_t high_bits[4];  ///< Little-endian.
  uint8_t codes[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

/// scale * code + bias; bit i of high_bits is the fifth bit of code i.
struct BlockQ5_1 {
  uint8_t scale[2];      ///< F16.
  uint8_t bias[2];       ///< F16.
  uint8_t high_bits[4];  ///< Little-endian.
  uint8_t codes[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

/// Sub-blocks of 32: (scale * its scale) * code - min_scale * its min. Byte b of the 32 bytes p is weight b
/// of sub-block 2p in its low half and of sub-block 2p + 1 in its high half.
struct BlockQ4_K {
  uint8_t scale[2];             ///< F16.
  uint8_t min_scale[2];         ///< F16.
  uint8_t scales_and_mins[12];  ///< Eight of each, 6 bits (sub_scale, sub_min).
  uint8_t codes[128];
};
static_assert(sizeof(BlockQ4_K) == 144);

/// As BlockQ4_K; bit s of byte b of high_bits is the fifth bit of weight b of sub-block s.
struct BlockQ5_K {
  uint8_t scale[2];             ///< F16.
  uint8_t min_scale[2];         ///< F16.
  uint8_t scales_and_mins[12];  ///< As in BlockQ4_K.
  uint8_t high_bits[32];
  uint8_t codes[128];
};
static_assert(sizeof(BlockQ5_K) == 176);

/// Sub-blocks of 16: (scale * its scale) * (code - 32). Each half of 128 weights has 64 bytes of low_bits and
/// 32 of high_bits; of its quarters of 32, quarter q has the low four bits in bytes 32 * (q % 2) on, low
/// halves for q < 2, and the high two at bit 2 * q of its high_bits.
struct BlockQ6_K {
  uint8_t low_bits[128];
  uint8_t high_bits[64];
  int8_t scales[16];
  uint8_t scale[2];  ///< F16.
};
static_assert(sizeof(BlockQ6_K) == 210);

/// Where a sub-block's 6-bit scale and min stand among the 12 bytes: those of sub-blocks 0 to 3 in bytes of
/// their own, those of 4 to 7 as four bits in bytes 8 to 11 and two in the free top bits of bytes 0 to 7.
/// (static: kernels share no symbols.)
static constexpr int sub_scale(const uint8_t* scales_and_mins, int64_t sub_idx) noexcept {
  if (sub_idx < 4) return scales_and_mins[sub_idx] & 63;
  return (scales_and_mins[sub_idx + 4] & 15) | (scales_and_mins[sub_idx - 4] >> 6 << 4);
}

static constexpr int sub_min(const uint8_t* scales_and_mins, int64_t sub_idx) noexcept {
  if (sub_idx < 4) return scales_and_mins[sub_idx + 4] & 63;
  return (scales_and_mins[sub_idx + 4] >> 4) | (scales_and_mins[sub_idx] >> 6 << 4);
}

}  // namespace lille::kernels
