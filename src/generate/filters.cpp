#include "generate/filters.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "generate/probabilities.h"

namespace lille {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

/// Where a descending order is cut: larger values stay, and up to `n_equal` of those equal to `value`.
struct Cut {
  float value;
  int64_t n_equal;
};

/// Unsigned integers in the order of the floats; both zeros are one.
uint32_t ordered_bits(float value) noexcept {
  const uint32_t bits = std::bit_cast<uint32_t>(value + 0.0f);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

float from_ordered_bits(uint32_t bits) noexcept {
  return std::bit_cast<float>((bits & 0x80000000u) != 0 ? bits & 0x7fffffffu : ~bits);
}

/// Cuts the descending order of the values at or above `lowest` where the weight of all earlier ones reaches
/// `limit`. A radix select over the bits of the floats: a histogram of weights by the upper 11 bits finds the
/// bucket of the cut, two more passes over the tokens of that bucket the exact value. Sorting 32,768 floats
/// takes 2 ms, this is linear for any distribution and allocates nothing.
/// @param limit   Above 0: the first value always stays.
/// @param weight  (float value) -> double, 0 or more.
template <typename Weight>
Cut cut_descending(std::span<const float> values, float lowest, double limit, Weight weight) {
  constexpr std::array<uint32_t, 4> kShifts = {32, 21, 10, 0};
  std::array<double, 2048> weights;
  uint64_t prefix = 0;
  double earlier = 0;
  for (size_t pass = 1; pass < kShifts.size(); ++pass) {
    const uint32_t parent_shift = kShifts[pass - 1];
    const uint32_t shift = kShifts[pass];
    const uint64_t n_digits = uint64_t{1} << (parent_shift - shift);
    weights.fill(-1);  // A digit that no value has.
    for (const float value : values) {
      if (value < lowest) continue;
      const uint64_t bits = ordered_bits(value);
      if (bits >> parent_shift != prefix) continue;
      double& sum = weights[(bits >> shift) & (n_digits - 1)];
      sum = (sum < 0 ? 0 : sum) + weight(value);
    }
    uint64_t digit = 0;
    double before_digit = earlier;
    for (uint64_t candidate = n_digits; candidate-- > 0;) {
      if (weights[candidate] < 0) continue;
      digit = candidate;
      before_digit = earlier;
      earlier += weights[candidate];
      if (earlier >= limit) break;
    }
    earlier = before_digit;
    prefix = (prefix << (parent_shift - shift)) | digit;
  }
  const float value = from_ordered_bits(static_cast<uint32_t>(prefix));
  int64_t n_equal = 1;
  const double step = weight(value);
  while (earlier + static_cast<double>(n_equal) * step < limit &&
         n_equal < static_cast<int64_t>(values.size()))
    ++n_equal;
  return {value, n_equal};
}

/// Which of several tokens with the value of the cut stay.
enum class Ties { kLowerIds, kHigherIds };

void exclude_below(std::span<float> values, Cut cut, Ties ties) {
  int64_t n_equal = 0;
  for (float& value : values) {
    n_equal += value == cut.value;
    value = value < cut.value ? kMinusInfinity : value;
  }
  int64_t excess = n_equal - cut.n_equal;
  const size_t n = values.size();
  for (size_t step = 0; step < n && excess > 0; ++step) {
    float& value = values[ties == Ties::kHigherIds ? step : n - 1 - step];
    if (value != cut.value) continue;
    value = kMinusInfinity;
    --excess;
  }
}

Cut cut_after(std::span<const float> values, int64_t n_kept) {
  return cut_descending(values, std::numeric_limits<float>::lowest(), static_cast<double>(n_kept),
                        [](float) { return 1.0; });
}

}  // namespace

void apply_top_p(std::span<float> logprobs, float top_p) {
  // n tokens of probability (1 - top_p) / n or less hold 1 - top_p at most, so none of them can stay. The
  // margin of 1e-3 is far above the rounding of the logprobs.
  const double tail = (1.0 - static_cast<double>(top_p)) / static_cast<double>(logprobs.size());
  const float lowest =
      std::max(static_cast<float>(std::log(tail) - 1e-3), std::numeric_limits<float>::lowest());
  const Cut cut = cut_descending(logprobs, lowest, static_cast<double>(top_p),
                                 [](float logprob) { return static_cast<double>(exp_f32(logprob)); });
  exclude_below(logprobs, cut, Ties::kHigherIds);
}

void apply_min_p(std::span<float> logprobs, float min_p, int64_t min_tokens_to_keep) {
  const float lowest =
      checked_max(logprobs, "sampler") + static_cast<float>(std::log(static_cast<double>(min_p)));
  int64_t n_kept = 0;
  for (const float logprob : logprobs) n_kept += logprob >= lowest;
  if (n_kept < min_tokens_to_keep)
    return exclude_below(logprobs, cut_after(logprobs, min_tokens_to_keep), Ties::kLowerIds);
  for (float& logprob : logprobs) logprob = logprob < lowest ? kMinusInfinity : logprob;
}

void apply_xtc(std::span<float> logprobs, float xtc_probability, float xtc_threshold,
               std::span<const int32_t> xtc_special_tokens, RandomKey key) {
  if (uniform(key) > xtc_probability) return;
  const float max = checked_max(logprobs, "sampler");
  const double least_weight = static_cast<double>(xtc_threshold) * sum_exp(logprobs, max);
  float least_likely = std::numeric_limits<float>::infinity();
  for (const float logprob : logprobs) {
    if (logprob<least_likely&& static_cast<double>(exp_f32(logprob - max))> least_weight)
      least_likely = logprob;
  }
  auto special = xtc_special_tokens.begin();
  for (size_t token = 0; token < logprobs.size(); ++token) {
    const bool is_special = special != xtc_special_tokens.end() && static_cast<size_t>(*special) == token;
    if (is_special) ++special;
    if (!is_special && logprobs[token] > least_likely) logprobs[token] = kMinusInfinity;
  }
}

void apply_top_k(std::span<float> logprobs, int64_t top_k) {
  if (top_k >= static_cast<int64_t>(logprobs.size())) return;
  exclude_below(logprobs, cut_after(logprobs, top_k), Ties::kLowerIds);
}

}  // namespace lille
