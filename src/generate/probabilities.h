#pragma once

#include <bit>
#include <cstdint>
#include <span>

#include "lille/random.h"

namespace lille {

/// exp(x) in float32, within 2 ulp; 0 below -87.3, where the result would be subnormal, and at -inf.
/// Written out because its result must not depend on the machine's math library, and so that loops over it
/// become vector code.
/// @param x  At most 88, not NaN.
inline float exp_f32(float x) noexcept {
  constexpr float kLowest = -87.3f;
  constexpr float kLog2E = 0x1.715476p+0f;
  constexpr float kLn2Upper = 0x1.62e4p-1f;  // 15 bits: its product with any exponent is exact.
  constexpr float kLn2Lower = 0x1.7f7d1cp-20f;
  constexpr float kRounder = 0x1.8p+23f;  // Adding it leaves the nearest integer in the low bits.

  const float shifted = x * kLog2E + kRounder;
  const float n = shifted - kRounder;
  const float r = (x - n * kLn2Upper) - n * kLn2Lower;
  float series = 1.0f / 5040;
  series = series * r + 1.0f / 720;
  series = series * r + 1.0f / 120;
  series = series * r + 1.0f / 24;
  series = series * r + 1.0f / 6;
  series = series * r + 0.5f;
  series = (series * r) * r + r;
  const uint32_t exponent = (std::bit_cast<uint32_t>(shifted) + 127u) << 23;
  const float result = (series + 1.0f) * std::bit_cast<float>(exponent);
  // A mask instead of a conditional, which the compiler would turn into a branch and the loop would stay
  // scalar.
  const uint32_t is_normal = 0u - static_cast<uint32_t>(x > kLowest);
  return std::bit_cast<float>(std::bit_cast<uint32_t>(result) & is_normal);
}

/// The largest value.
/// @param where  For the message: who was given the values.
/// @throws Error(kInvalidArgument) if a value is NaN or +inf, or all are -inf, or there are none.
float checked_max(std::span<const float> values, const char* where);

/// sum(exp(values - max)) in float64; the order of summation depends on the number of values only.
/// @param max  The largest value.
double sum_exp(std::span<const float> values, float max) noexcept;

/// One draw from softmax(values / temperature), by mlx's rule for a single row: with w = exp((values - max) /
/// temperature) and one uniform number u, the index is that of the last entry of the exclusive running sum of
/// w that is <= u * sum(w). Sums are in float64. An index with w = 0 is never returned.
/// @param values       (n) f32, at least one; overwritten.
/// @param max          Their largest value, finite.
/// @param temperature  Above 0.
/// Source: mlx mlx/random.cpp categorical.
int32_t categorical(std::span<float> values, float max, float temperature, RandomKey key) noexcept;

}  // namespace lille
