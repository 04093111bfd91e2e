#include "generate/probabilities.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "lille/sampler.h"

namespace lille {
namespace {

// Reductions run in independent lanes: the compiler may not reorder them itself, and the order they give is
// the same in every instruction set. Elementwise work goes over blocks long enough to be vector loops.
constexpr size_t kLanes = 16;
constexpr size_t kBlock = 256;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

double sum_of(std::span<const float> values) noexcept {
  std::array<double, kLanes> lanes{};
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += static_cast<double>(values[i + lane]);
  }
  for (size_t lane = 0; i < values.size(); ++i, ++lane) lanes[lane] += static_cast<double>(values[i]);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

template <typename Values>
Values block_at(Values values, size_t start) noexcept {
  return values.subspan(start, std::min(kBlock, values.size() - start));
}

/// values = exp((values - max) * factor). Most tokens are at -inf after a filter, so runs of them are
/// skipped.
void to_weights(std::span<float> values, float max, float factor) noexcept {
  constexpr size_t kRun = 32;
  for (size_t start = 0; start < values.size(); start += kRun) {
    float* const run = values.data() + start;
    const size_t n = std::min(kRun, values.size() - start);
    int32_t n_left = 0;
    for (size_t i = 0; i < n; ++i) n_left += run[i] > -kInfinity;
    if (n_left == 0) {
      std::fill_n(run, n, 0.0f);
    } else {
      for (size_t i = 0; i < n; ++i) run[i] = exp_f32((run[i] - max) * factor);
    }
  }
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
  std::array<float, kBlock> weights;
  double sum = 0;
  for (size_t start = 0; start < values.size(); start += kBlock) {
    const std::span<const float> block = block_at(values, start);
    for (size_t i = 0; i < block.size(); ++i) weights[i] = exp_f32(block[i] - max);
    sum += sum_of(std::span<const float>(weights).first(block.size()));
  }
  return sum;
}

int32_t categorical(std::span<float> values, float max, float temperature, RandomKey key) noexcept {
  // A subnormal temperature has no finite inverse; with the largest one, 0 stays 0 and all else goes to -inf.
  const float inverse = std::min(1.0f / temperature, std::numeric_limits<float>::max());
  to_weights(values, max, inverse);

  double total = 0;
  for (size_t start = 0; start < values.size(); start += kBlock) total += sum_of(block_at(values, start));

  // The border lies in the first block whose running sum is above it. One exists, as the same additions gave
  // the total and u is below 1. Within the block the additions run in another order, so the border can be
  // missed by a rounding; the block's last token with weight is then the one.
  const double border = static_cast<double>(uniform(key)) * total;
  double sum = 0;
  size_t start = 0;
  for (double next = sum_of(block_at(values, 0)); next <= border;
       next = sum + sum_of(block_at(values, start))) {
    sum = next;
    start += kBlock;
  }
  size_t drawn = start;
  const std::span<const float> block = block_at(values, start);
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
  // In two parts, float32 arithmetic is within a unit of the float64 result and twice as fast.
  const auto upper = static_cast<float>(log_sum);
  const auto lower = static_cast<float>(log_sum - static_cast<double>(upper));
  for (float& logit : logits) logit = (logit - upper) - lower;
}

}  // namespace lille
