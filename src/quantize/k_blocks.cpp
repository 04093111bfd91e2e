#include "quantize/k_blocks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "quantize/block_scales.h"

namespace lille {
namespace {

using Weights = std::span<const float>;

/// Steps of the search for a scale to begin with: codes that reach up to one beyond their range or stay one
/// within.
constexpr int kScaleSteps = 8;
constexpr float kStepCodes = 0.125f;
/// How often the best scale for given codes and the best codes for a given scale are taken in turn.
constexpr int kBlockRefinements = 2;

/// Halves to the even neighbour; a sum with 1.5 * 2^23 has no bits left for a fraction.
float round_code(float code) noexcept { return (code + 0x1.8p23f) - 0x1.8p23f; }

float code_of(float weight, float inverse, float offset, float min_code, float max_code) noexcept {
  return round_code(std::clamp((weight + offset) * inverse, min_code, max_code));
}

/// weight = scale * code - min.
struct ScaleAndMin {
  float scale = 0;
  float min = 0;
};

// Codes of Q4_K.
constexpr float kMaxCodeQ4 = 15;
// Codes of Q6_K less 32.
constexpr float kMinCodeQ6 = -32;
constexpr float kMaxCodeQ6 = 31;

double squared_error(Weights weights, ScaleAndMin fit) noexcept {
  const float inverse = inverse_or_zero(fit.scale);
  double error = 0;
  for (const float weight : weights) {
    const float code = code_of(weight, inverse, fit.min, 0, kMaxCodeQ4);
    const double distance = double{fit.scale} * double{code} - double{fit.min} - double{weight};
    error += distance * distance;
  }
  return error;
}

/// Sums over the weights of a sub-block and the codes that a scale and a min give them.
struct CodeSums {
  double weight2 = 0;
  double weight = 0;
  double code = 0;
  double code2 = 0;
  double product = 0;
  double n = 0;
};

CodeSums sums_of(Weights weights, ScaleAndMin fit, float min_code, float max_code) noexcept {
  const float inverse = inverse_or_zero(fit.scale);
  CodeSums sums;
  for (const float weight : weights) {
    const double code = code_of(weight, inverse, fit.min, min_code, max_code);
    sums.weight2 += double{weight} * double{weight};
    sums.weight += double{weight};
    sums.code += code;
    sums.code2 += code * code;
    sums.product += code * double{weight};
  }
  sums.n = static_cast<double>(weights.size());
  return sums;
}

/// The squared error of the weights that scale and min make of the codes.
double error_of(const CodeSums& sums, ScaleAndMin fit) noexcept {
  const double scale = fit.scale;
  const double min = fit.min;
  return sums.weight2 + scale * (scale * sums.code2 - 2 * sums.product - 2 * min * sums.code) +
         min * (min * sums.n + 2 * sums.weight);
}

/// The least squares line through (code, weight), its min not below 0; nothing if all codes are equal.
std::optional<ScaleAndMin> best_line(const CodeSums& sums) noexcept {
  const double determinant = sums.n * sums.code2 - sums.code * sums.code;
  if (determinant <= 0) return std::nullopt;
  const double scale = (sums.n * sums.product - sums.code * sums.weight) / determinant;
  const double min = (scale * sums.code - sums.weight) / sums.n;
  if (min >= 0) return ScaleAndMin{static_cast<float>(scale), static_cast<float>(min)};
  return ScaleAndMin{static_cast<float>(sums.product / sums.code2), 0.0f};
}

/// The best scale and min of a sub-block of Q4_K before they are rounded.
ScaleAndMin search_scale_and_min(Weights weights) noexcept {
  const auto [lowest, highest] = std::minmax_element(weights.begin(), weights.end());
  const float min = std::max(0.0f, -*lowest);
  const float range = std::max(0.0f, *highest) + min;
  ScaleAndMin best = {0, min};
  double best_error = squared_error(weights, best);
  for (int step = -kScaleSteps; step <= kScaleSteps; ++step) {
    ScaleAndMin fit = {range / (kMaxCodeQ4 + kStepCodes * static_cast<float>(step)), min};
    for (int refinement = 0; refinement < kBlockRefinements; ++refinement) {
      const CodeSums sums = sums_of(weights, fit, 0, kMaxCodeQ4);
      const std::optional<ScaleAndMin> line = best_line(sums);
      if (!line || !(line->scale > 0.0f)) break;
      fit = *line;
      const double error = error_of(sums, fit);
      if (error >= best_error) continue;
      best_error = error;
      best = fit;
    }
  }
  return best;
}

/// Rounded to a multiple of `unit` from 0 to 63.
int small_scale(float value, float unit) noexcept {
  return static_cast<int>(std::clamp(std::nearbyint(value * inverse_or_zero(unit)), 0.0f, 63.0f));
}

void put_scale_and_min(uint8_t* to, std::size_t sub_idx, int scale, int min) noexcept {
  if (sub_idx < 4) {
    to[sub_idx] = static_cast<uint8_t>(to[sub_idx] | scale);
    to[sub_idx + 4] = static_cast<uint8_t>(to[sub_idx + 4] | min);
  } else {
    to[sub_idx + 4] = static_cast<uint8_t>((scale & 15) | (min & 15) << 4);
    to[sub_idx - 4] = static_cast<uint8_t>(to[sub_idx - 4] | scale >> 4 << 6);
    to[sub_idx] = static_cast<uint8_t>(to[sub_idx] | min >> 4 << 6);
  }
}

double squared_error_q6(Weights weights, float scale) noexcept {
  const float inverse = inverse_or_zero(scale);
  double error = 0;
  for (const float weight : weights) {
    const float code = code_of(weight, inverse, 0, kMinCodeQ6, kMaxCodeQ6);
    const double distance = double{scale} * double{code} - double{weight};
    error += distance * distance;
  }
  return error;
}

/// The best scale of a sub-block of Q6_K, of either sign, before it is rounded.
float search_scale(Weights weights) noexcept {
  float farthest = 0;
  for (const float weight : weights)
    if (std::fabs(weight) > std::fabs(farthest)) farthest = weight;
  float best = 0;
  double best_error = squared_error_q6(weights, best);
  for (int step = -kScaleSteps; step <= kScaleSteps; ++step) {
    float scale = farthest / (kMinCodeQ6 + kStepCodes * static_cast<float>(step));
    for (int refinement = 0; refinement < kBlockRefinements; ++refinement) {
      const CodeSums sums = sums_of(weights, {scale, 0}, kMinCodeQ6, kMaxCodeQ6);
      if (sums.code2 == 0) break;
      scale = static_cast<float>(sums.product / sums.code2);
      const double error = error_of(sums, {scale, 0});
      if (error >= best_error) continue;
      best_error = error;
      best = scale;
    }
  }
  return best;
}

}  // namespace

void quantize_block(kernels::BlockQ4_K& block, Weights weights) {
  constexpr std::size_t kSubBlocks = 8;
  constexpr std::size_t kSubWeights = 32;
  block = {};
  std::array<ScaleAndMin, kSubBlocks> fits;
  float largest_scale = 0;
  float largest_min = 0;
  for (std::size_t sub_idx = 0; sub_idx < kSubBlocks; ++sub_idx) {
    fits[sub_idx] = search_scale_and_min(weights.subspan(sub_idx * kSubWeights, kSubWeights));
    largest_scale = std::max(largest_scale, fits[sub_idx].scale);
    largest_min = std::max(largest_min, fits[sub_idx].min);
  }
  const float scale = put_half(block.scale, largest_scale / 63);
  const float min_scale = put_half(block.min_scale, largest_min / 63);
  for (std::size_t sub_idx = 0; sub_idx < kSubBlocks; ++sub_idx) {
    const Weights sub = weights.subspan(sub_idx * kSubWeights, kSubWeights);
    const int near_scale = small_scale(fits[sub_idx].scale, scale);
    const int near_min = small_scale(fits[sub_idx].min, min_scale);
    int best_scale = near_scale;
    int best_min = near_min;
    double best_error = HUGE_VAL;
    for (int sub_scale = std::max(0, near_scale - 1); sub_scale <= std::min(63, near_scale + 1); ++sub_scale)
      for (int sub_min = std::max(0, near_min - 1); sub_min <= std::min(63, near_min + 1); ++sub_min) {
        const double error = squared_error(
            sub, {scale * static_cast<float>(sub_scale), min_scale * static_cast<float>(sub_min)});
        if (error >= best_error) continue;
        best_error = error;
        best_scale = sub_scale;
        best_min = sub_min;
      }
    put_scale_and_min(block.scales_and_mins, sub_idx, best_scale, best_min);
    const float inverse = inverse_or_zero(scale * static_cast<float>(best_scale));
    const float min = min_scale * static_cast<float>(best_min);
    for (std::size_t idx = 0; idx < kSubWeights; ++idx) {
      const auto code = static_cast<int>(code_of(sub[idx], inverse, min, 0, kMaxCodeQ4));
      uint8_t& byte = block.codes[sub_idx / 2 * kSubWeights + idx];
      byte = static_cast<uint8_t>(byte | code << (sub_idx % 2 * 4));
    }
  }
}

void quantize_block(kernels::BlockQ6_K& block, Weights weights) {
  constexpr std::size_t kSubBlocks = 16;
  constexpr std::size_t kSubWeights = 16;
  block = {};
  std::array<float, kSubBlocks> fits;
  float largest = 0;
  for (std::size_t sub_idx = 0; sub_idx < kSubBlocks; ++sub_idx) {
    fits[sub_idx] = search_scale(weights.subspan(sub_idx * kSubWeights, kSubWeights));
    if (std::fabs(fits[sub_idx]) > std::fabs(largest)) largest = fits[sub_idx];
  }
  // -128 has one value more than 127.
  const float scale = put_half(block.scale, largest / -128);
  for (std::size_t sub_idx = 0; sub_idx < kSubBlocks; ++sub_idx) {
    const Weights sub = weights.subspan(sub_idx * kSubWeights, kSubWeights);
    const auto near =
        static_cast<int>(std::clamp(std::nearbyint(fits[sub_idx] * inverse_or_zero(scale)), -128.0f, 127.0f));
    int best_scale = near;
    double best_error = HUGE_VAL;
    for (int sub_scale = std::max(-128, near - 1); sub_scale <= std::min(127, near + 1); ++sub_scale) {
      const double error = squared_error_q6(sub, scale * static_cast<float>(sub_scale));
      if (error >= best_error) continue;
      best_error = error;
      best_scale = sub_scale;
    }
    block.scales[sub_idx] = static_cast<int8_t>(best_scale);
    const float inverse = inverse_or_zero(scale * static_cast<float>(best_scale));
    const std::size_t half_idx = sub_idx / 8;
    const std::size_t quarter = sub_idx / 2 % 4;
    for (std::size_t idx = 0; idx < kSubWeights; ++idx) {
      const int code = static_cast<int>(code_of(sub[idx], inverse, 0, kMinCodeQ6, kMaxCodeQ6)) + 32;
      const std::size_t at = sub_idx % 2 * kSubWeights + idx;
      uint8_t& low = block.low_bits[half_idx * 64 + quarter % 2 * 32 + at];
      uint8_t& high = block.high_bits[half_idx * 32 + at];
      low = static_cast<uint8_t>(low | (code & 15) << (quarter / 2 * 4));
      high = static_cast<uint8_t>(high | code >> 4 << (quarter * 2));
    }
  }
}

}  // namespace lille
