#include "quantize/affine_group.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "quantize/affine_codes.h"
#include "quantize/rows.h"

namespace lille {
namespace {

using kernels::FloatKind;

/// Smallest scale; groups of nearly equal weights lose precision rather than divide by zero.
constexpr float kSmallestScale = 1e-7f;

/// Widths of the range, as shares of the whole: clipping a few large weights may pay, and for few codes it
/// pays most.
constexpr std::array kRangeShares = {1.1f, 1.05f, 1.0f, 0.95f, 0.9f, 0.85f, 0.8f, 0.75f, 0.7f, 0.6f, 0.5f};

/// Rounds of codes for a group and group for the codes.
constexpr int kFitRounds = 2;

double weighted_error(const AffineGroup& group, std::span<const float> weights,
                      std::span<const float> importance, float max_code) noexcept {
  double sum = 0;
  for (std::size_t idx = 0; idx < weights.size(); ++idx) {
    const float error = weights[idx] - group.value_of(group.code_of(weights[idx], max_code));
    sum += double{importance[idx]} * error * error;
  }
  return sum;
}

/// Scale and bias with the smallest weighted error for the codes that `group` gives; `group` itself where no
/// scale is better than another.
AffineGroup least_squares(const AffineGroup& group, std::span<const float> weights,
                          std::span<const float> importance, float max_code, FloatKind kind) noexcept {
  double sum = 0, sum_code = 0, sum_code_code = 0, sum_weight = 0, sum_code_weight = 0;
  for (std::size_t idx = 0; idx < weights.size(); ++idx) {
    const double code = group.code_of(weights[idx], max_code);
    const double share = importance[idx];
    sum += share;
    sum_code += share * code;
    sum_code_code += share * code * code;
    sum_weight += share * weights[idx];
    sum_code_weight += share * code * weights[idx];
  }
  const double determinant = sum * sum_code_code - sum_code * sum_code;
  if (!(determinant > 1e-9 * sum * sum_code_code)) return group;
  const double scale = (sum * sum_code_weight - sum_code * sum_weight) / determinant;
  const float rounded = round_scale(static_cast<float>(scale), kind);
  const double bias = (sum_weight - double{rounded} * sum_code) / sum;
  return {rounded, round_scale(static_cast<float>(bias), kind)};
}

}  // namespace

float AffineGroup::value_of(float code) const noexcept { return std::fma(scale, code, bias); }

float AffineGroup::code_of(float weight, float max_code) const noexcept {
  if (scale == 0) return 0;
  return std::clamp(std::nearbyint((weight - bias) / scale), 0.0f, max_code);
}

float round_scale(float value, FloatKind kind) noexcept {
  switch (kind) {
    case FloatKind::kF16:
      return f16_to_f32(f32_to_f16(value));
    case FloatKind::kBF16:
      return bf16_to_f32(f32_to_bf16(value));
    case FloatKind::kF32:
      break;
  }
  return value;
}

AffineGroup fit_range(std::span<const float> weights, float max_code) noexcept {
  const auto [min, max] = std::minmax_element(weights.begin(), weights.end());
  const bool min_is_larger = std::fabs(*min) > std::fabs(*max);
  const float step = std::max((*max - *min) / max_code, kSmallestScale);
  const float scale = min_is_larger ? step : -step;
  const float edge = min_is_larger ? *min : *max;
  const float zero_code = std::nearbyint(edge / scale);
  if (zero_code == 0.0f) return {scale, 0.0f};
  return {edge / zero_code, edge};
}

AffineGroup fit_weighted(std::span<const float> weights, std::span<const float> importance, float max_code,
                         FloatKind kind) {
  const AffineGroup range = fit_range(weights, max_code);
  AffineGroup best = {round_scale(range.scale, kind), round_scale(range.bias, kind)};
  double least = weighted_error(best, weights, importance, max_code);
  const auto [min, max] = std::minmax_element(weights.begin(), weights.end());
  if (*max - *min < max_code * kSmallestScale) return best;
  const float middle = 0.5f * (*min + *max);
  for (const float share : kRangeShares) {
    const float half = 0.5f * share * (*max - *min);
    AffineGroup candidate = {2 * half / max_code, middle - half};
    for (int round = 0; round < kFitRounds; ++round) {
      candidate = least_squares(candidate, weights, importance, max_code, kind);
      const double error = weighted_error(candidate, weights, importance, max_code);
      // A scale that overflowed or an importance that is NaN never wins.
      if (!(error < least)) continue;
      least = error;
      best = candidate;
    }
  }
  return best;
}

void check_matrix(const kernels::WeightMatrix& source, const LayerQuantization& setting) {
  check_setting(setting);
  if (source.n_in % setting.group_size != 0)
    raise(ErrorCode::kInvalidArgument,
          "[quantize] rows: expected a multiple of the group size, {}, got {}. Hint: choose a smaller group "
          "or leave "
          "this matrix as it is",
          setting.group_size, source.n_in);
}

AffineBuilder::AffineBuilder(int64_t n_out, int64_t n_in, const LayerQuantization& setting,
                             FloatKind scale_kind)
    : setting_(setting), scale_kind_(scale_kind), row_bytes_(n_in * setting.bits / 8) {
  matrix_.codes.resize(static_cast<std::size_t>(n_out * row_bytes_));
  matrix_.scales.resize(
      static_cast<std::size_t>(n_out * (n_in / setting.group_size) * kernels::float_bytes(scale_kind)));
  matrix_.biases.resize(matrix_.scales.size());
}

void AffineBuilder::put_row(int64_t row_idx, std::span<const AffineGroup> groups,
                            std::span<const float> codes) {
  const int64_t scale_bytes = kernels::float_bytes(scale_kind_);
  int64_t at = row_idx * static_cast<int64_t>(groups.size()) * scale_bytes;
  for (const AffineGroup& group : groups) {
    store_scale(matrix_.scales.data() + at, scale_kind_, group.scale);
    store_scale(matrix_.biases.data() + at, scale_kind_, group.bias);
    at += scale_bytes;
  }
  CodeWriter writer(matrix_.codes.data() + row_idx * row_bytes_, setting_.bits);
  for (const float code : codes) writer.put(static_cast<uint32_t>(code));
}

AffineMatrix quantize_groups(const kernels::WeightMatrix& source, const LayerQuantization& setting,
                             FloatKind scale_kind, ThreadPool& pool, FitGroup fit) {
  check_matrix(source, setting);
  const float max_code = max_code_of(setting.bits);
  const auto group_size = static_cast<std::size_t>(setting.group_size);
  AffineBuilder builder(source.n_out, source.n_in, setting, scale_kind);
  for_each_row(source, pool, [&](int64_t row_idx, std::span<const float> row) {
    std::vector<AffineGroup> groups;
    std::vector<float> codes;
    codes.reserve(row.size());
    for (std::size_t begin = 0; begin < row.size(); begin += group_size) {
      const std::span<const float> weights = row.subspan(begin, group_size);
      groups.push_back(fit(weights, begin));
      for (const float weight : weights) codes.push_back(groups.back().code_of(weight, max_code));
    }
    builder.put_row(row_idx, groups, codes);
  });
  return builder.take();
}

}  // namespace lille
