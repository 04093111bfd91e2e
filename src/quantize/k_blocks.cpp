#include "quantize/k_blocks.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "quantize/block_scales.h"

namespace lille {
namespace {

using Weights = std::span<const float>;

/// Steps of the search for a scale: codes that would reach up to this far beyond or stay within their range.
constexpr int kScaleSteps = 12;
constexpr float kStepCodes = 0.125f;
/// How often the best scale for given codes and the best codes for a given scale are taken in turn.
constexpr int kRefinements = 3;

float code_of(float weight, float inverse, float offset, float min_code, float max_code) noexcept {
  return std::clamp(std::nearbyint((weight + offset) * inverse), min_code, max_code);
}

/// weight = scale * code - min, codes from 0 to 15.
struct ScaleAndMin {
  float scale = 0;
  float min = 0;
};

constexpr float kMaxCodeQ4 = 15;

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

/// The least squares line through (code, weight) for the codes that `fit` gives; its min not below 0.
ScaleAndMin refit(Weights weights, ScaleAndMin fit) noexcept {
  const float inverse = inverse_or_zero(fit.scale);
  double sum_code = 0;
  double sum_weight = 0;
  double sum_code2 = 0;
  double sum_product = 0;
  for (const float weight : weights) {
    const double code = code_of(weight, inverse, fit.min, 0, kMaxCodeQ4);
    sum_code += code;
    sum_weight += double{weight};
    sum_code2 += code * code;
    sum_product += code * double{weight};
  }
  const auto n = static_cast<double>(weights.size());
  const double determinant = n * sum_code2 - sum_code * sum_code;
  if (determinant <= 0) return fit;
  const double scale = (n * sum_product - sum_code * sum_weight) / determinant;
  const double min = (scale * sum_code - sum_weight) / n;
  if (min >= 0) return {static_cast<float>(scale), static_cast<float>(min)};
  return {static_cast<float>(sum_product / sum_code2), 0.0f};
}

/// The best scale and min of a sub-block before they are rounded.
ScaleAndMin search_scale_and_min(Weights weights) noexcept {
  const auto [lowest, highest] = std::minmax_element(weights.begin(), weights.end());
  const float min = std::max(0.0f, -*lowest);
  const float range = std::max(0.0f, *highest) + min;
  ScaleAndMin best = {0, min};
  if (range == 0.0f) return best;
  double best_error = squared_error(weights, best);
  for (int step = -kScaleSteps; step <= kScaleSteps; ++step) {
    ScaleAndMin fit = {range / (kMaxCodeQ4 + kStepCodes * static_cast<float>(step)), min};
    for (int refinement = 0; refinement <= kRefinements; ++refinement) {
      if (refinement > 0) fit = refit(weights, fit);
      if (!(fit.scale > 0.0f)) break;
      const double error = squared_error(weights, fit);
      if (error < best_error) {
        best_error = error;
        best = fit;
      }
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

/// weight = scale * (code - 32), codes from 0 to 63 and so multiples from -32 to 31.
double squared_error_q6(Weights weights, float scale) noexcept {
  const float inverse = inverse_or_zero(scale);
  double error = 0;
  for (const float weight : weights) {
    const double distance = double{scale} * double{code_of(weight, inverse, 0, -32, 31)} - double{weight};
    error += distance * distance;
  }
  return error;
}

float refit_q6(Weights weights, float scale) noexcept {
  const float inverse = inverse_or_zero(scale);
  double sum_product = 0;
  double sum_code2 = 0;
  for (const float weight : weights) {
    const double code = code_of(weight, inverse, 0, -32, 31);
    sum_product += code * double{weight};
    sum_code2 += code * code;
  }
  return sum_code2 > 0 ? static_cast<float>(sum_product / sum_code2) : 0.0f;
}

/// The best scale of a sub-block of Q6_K, of either sign, before it is rounded.
float search_scale(Weights weights) noexcept {
  float farthest = 0;
  for (const float weight : weights)
    if (std::fabs(weight) > std::fabs(farthest)) farthest = weight;
  float best = 0;
  double best_error = squared_error_q6(weights, best);
  if (best_error == 0) return best;
  for (const float end : {-32.0f, 31.0f})
    for (int step = -kScaleSteps; step <= kScaleSteps; ++step) {
      float scale = farthest / (end + kStepCodes * static_cast<float>(step));
      for (int refinement = 0; refinement <= kRefinements; ++refinement) {
        if (refinement > 0) scale = refit_q6(weights, scale);
        const double error = squared_error_q6(weights, scale);
        if (error < best_error) {
          best_error = error;
          best = scale;
        }
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
    for (int sub_scale = std::max(0, near_scale - 2); sub_scale <= std::min(63, near_scale + 2); ++sub_scale)
      for (int sub_min = std::max(0, near_min - 2); sub_min <= std::min(63, near_min + 2); ++sub_min) {
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
    for (int sub_scale = std::max(-128, near - 2); sub_scale <= std::min(127, near + 2); ++sub_scale) {
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
      const int code = static_cast<int>(code_of(sub[idx], inverse, 0, -32, 31)) + 32;
      const std::size_t at = sub_idx % 2 * kSubWeights + idx;
      uint8_t& low = block.low_bits[half_idx * 64 + quarter % 2 * 32 + at];
      uint8_t& high = block.high_bits[half_idx * 32 + at];
      low = static_cast<uint8_t>(low | (code & 15) << (quarter / 2 * 4));
      high = static_cast<uint8_t>(high | code >> 4 << (quarter * 2));
    }
  }
}

}  // namespace lille
