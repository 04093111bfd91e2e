#include "generate/probabilities.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "lille/sampler.h"

namespace lille {
namespace {

// Reductions run in this many independent lanes: the compiler may not reorder them itself, and the order they
// give is the same in every instruction set.
constexpr size_t kLanes = 16;
constexpr size_t kBlock = 256;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

template <typename Term>
double sum_in_lanes(std::span<const float> values, Term term) noexcept {
  std::array<double, kLanes> lanes{};
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    std::array<float, kLanes> terms;
    for (size_t lane = 0; lane < kLanes; ++lane) terms[lane] = term(values[i + lane]);
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += static_cast<double>(terms[lane]);
  }
  for (size_t lane = 0; i < values.size(); ++i, ++lane) lanes[lane] += static_cast<double>(term(values[i]));
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

double sum_of(std::span<const float> values) noexcept {
  return sum_in_lanes(values, [](float value) { return value; });
}

[[noreturn]] void raise_bad_value(std::span<const float> values, const char* where) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i]) || values[i] == kInfinity)
      raise(ErrorCode::kInvalidArgument,
            "[{}] logits: expected numbers below +inf, got {} for token {}. Hint: the model's weights or a "
            "logits "
            "processor gave it",
            where, values[i], i);
  }
  raise(ErrorCode::kInvalidArgument,
        "[{}] logits: expected one token above -inf at least, got none of {}. Hint: logit_bias or a logits "
        "processor "
        "excludes every token",
        where, values.size());
}

}  // namespace

float checked_max(std::span<const float> values, const char* where) {
  std::array<float, kLanes> largest;
  std::array<int32_t, kLanes> is_bad{};
  largest.fill(-kInfinity);
  const auto visit = [&](float value, size_t lane) {
    largest[lane] = value > largest[lane] ? value : largest[lane];
    is_bad[lane] |= !(value < kInfinity);
  };
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) visit(values[i + lane], lane);
  for (size_t lane = 0; i < values.size(); ++i, ++lane) visit(values[i], lane);

  const float max = *std::max_element(largest.begin(), largest.end());
  const bool any_bad = std::any_of(is_bad.begin(), is_bad.end(), [](int32_t bad) { return bad != 0; });
  if (any_bad || max == -kInfinity) raise_bad_value(values, where);
  return max;
}

double sum_exp(std::span<const float> values, float max) noexcept {
  return sum_in_lanes(values, [max](float value) { return exp_f32(value - max); });
}

int32_t categorical(std::span<float> values, float max, float temperature, RandomKey key) noexcept {
  // A subnormal temperature has no finite inverse; with the largest one, 0 stays 0 and all else goes to -inf.
  const float inverse = std::min(1.0f / temperature, std::numeric_limits<float>::max());
  for (float& value : values) value = exp_f32((value - max) * inverse);

  const auto block_at = [&](size_t start) {
    return values.subspan(start, std::min(kBlock, values.size() - start));
  };
  double total = 0;
  for (size_t start = 0; start < values.size(); start += kBlock) total += sum_of(block_at(start));

  // The border lies in the first block whose running sum is above it. One exists, as the same additions gave
  // the total and u is below 1. Within the block the additions run in another order, so the border can be
  // missed by a rounding; the block's last token with weight is then the one.
  const double border = static_cast<double>(uniform(key)) * total;
  double sum = 0;
  size_t start = 0;
  for (double next = sum_of(block_at(0)); next <= border; next = sum + sum_of(block_at(start))) {
    sum = next;
    start += kBlock;
  }
  size_t drawn = start;
  const std::span<const float> block = block_at(start);
  for (size_t i = 0; i < block.size() && sum <= border; ++i) {
    if (block[i] == 0) continue;
    sum += static_cast<double>(block[i]);
    drawn = start + i;
  }
  return static_cast<int32_t>(drawn);
}

void log_softmax(std::span<float> logits) {
  const float max = checked_max(logits, "log_softmax");
  const double log_sum = static_cast<double>(max) + std::log(sum_exp(logits, max));
  for (float& logit : logits) logit = static_cast<float>(static_cast<double>(logit) - log_sum);
}

}  // namespace lille
