#include "kernels/choose_scales_q8.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lille::kernels {
namespace {

constexpr float kLargestCode = 127.0f;

/// Sums have four chains, added in one order in the end: the compiler keeps them in a register, on every
/// processor.
using Four [[gnu::vector_size(16)]] = float;

float sum_of(Four chains) noexcept { return (chains[0] + chains[1]) + (chains[2] + chains[3]); }

/// To nearest, ties to even, for magnitudes below 2^22: what is added leaves no place for a fraction.
template <typename Value>
Value nearest(Value value) noexcept {
  constexpr float kOnlyWhole = 0x1.8p23f;
  return (value + kOnlyWhole) - kOnlyWhole;
}

/// How a block comes out whose largest gets some code.
struct Fit {
  float error;   ///< Sum of squared errors, in the unit of `steps`.
  float change;  ///< By how much the scale is best made longer, as a share of it.
};

/// @param steps   the block in steps of the scale whose largest code is 127.
/// @param factor  from these to steps of the scale that is tried.
Fit fit(const float* steps, float factor) noexcept {
  Four rests = {}, products = {}, codes = {};
  for (int64_t idx = 0; idx < kQ8Block; idx += 4) {
    Four value;
    std::memcpy(&value, steps + idx, sizeof(value));
    value *= factor;
    const Four code = nearest(value);
    const Four rest = value - code;
    rests += rest * rest;
    products += rest * code;
    codes += code * code;
  }
  // Least squares: (1 + change) * code instead of code for value.
  const float product = sum_of(products);
  const float change = product / sum_of(codes);
  return {(sum_of(rests) - change * product) / (factor * factor), change};
}

void choose_scale(int8_t* codes, float& scale, int32_t& sum, const float* x) noexcept {
  float largest = 0;
  for (int64_t idx = 0; idx < kQ8Block; ++idx) largest = std::max(largest, std::abs(x[idx]));
  float steps[kQ8Block];
  const float inverse = kLargestCode / largest;
  for (int64_t idx = 0; idx < kQ8Block; ++idx) steps[idx] = x[idx] * inverse;
  float best_factor = 1;
  Fit best = fit(steps, best_factor);
  for (int one_try = 1; one_try < kScaleTriesQ8; ++one_try) {
    const float factor = (kLargestCode - static_cast<float>(one_try)) / kLargestCode;
    const Fit other = fit(steps, factor);
    if (other.error >= best.error) continue;
    best = other;
    best_factor = factor;
  }
  sum = 0;
  for (int64_t idx = 0; idx < kQ8Block; ++idx) {
    codes[idx] = static_cast<int8_t>(nearest(steps[idx] * best_factor));
    sum += codes[idx];
  }
  scale = largest / (kLargestCode * best_factor) * (1 + best.change);
}

/// Q8Rows::words of a block.
void write_words(int16_t* words, const int8_t* codes) noexcept {
  constexpr int kColumnOf[] = {0, 2, 1, 3};
  for (int64_t four = 0; four < kQ8Block; four += 4)
    for (int idx = 0; idx < 4; ++idx) words[four + idx] = codes[four + kColumnOf[idx]];
}

}  // namespace

void choose_scales_q8(const Q8Rows& rows, const float* x, int64_t n_in, int64_t group_size) noexcept {
  const int64_t blocks_of_group = group_size / kQ8Block;
  for (int64_t group = 0; group < n_in / group_size; ++group) {
    float group_sum = 0;
    for (int64_t block = group * blocks_of_group; block < (group + 1) * blocks_of_group; ++block) {
      float& scale = rows.scales[block * rows.block_stride];
      int32_t& sum = rows.sums[block * rows.block_stride];
      int8_t* codes = rows.codes + block * kQ8Block;
      if (scale > 0) {
        choose_scale(codes, scale, sum, x + block * kQ8Block);
        if (rows.words != nullptr) write_words(rows.words + block * kQ8Block, codes);
      }
      group_sum = std::fma(static_cast<float>(sum), scale, group_sum);
    }
    rows.group_sums[group * rows.block_stride] = group_sum;
  }
}

}  // namespace lille::kernels
