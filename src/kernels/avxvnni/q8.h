#pragma once

#include "kernels/avx2/q8.h"

namespace lille::kernels::avxvnni {
namespace {

/// AVX2's primitives with VNNI's product of unsigned and signed bytes in its VEX form.
struct Q8 : avx2::Q8 {
  // 6 sums of integers, 6 of floats, weights, their scales and what products need use all 16 registers.
  static constexpr int kTileRows = 6;

  static constexpr bool kMultipliesWords = false;

  /// What dot takes off each code.
  template <int kBits>
  static constexpr int kShift = 0;

  /// sums + codes * x, each lane the sum of its four.
  template <int kBits>
  static I dot(I sums, I codes, I x) {
    return _mm256_dpbusd_avx_epi32(sums, codes, x);
  }

  /// sums + codes * x with the same four codes of x in every lane. GCC 12 copies each sum for the intrinsic.
  template <bool kWide>
  static I dot_broadcast(I sums, I codes, const int8_t* x) {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(codes), "x"(broadcast_x(x)));
    return sums;
  }
};

}  // namespace
}  // namespace lille::kernels::avxvnni
