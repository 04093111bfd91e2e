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

/// The values in [low, high]: those whose ordered bits begin with `prefix`, once `shift` bits are dropped.
struct Bucket {
  uint64_t prefix;
  uint32_t shift;
  float low;
  float high;
};

Bucket bucket_at(uint64_t prefix, uint32_t shift, float lowest) noexcept {
  uint32_t last = static_cast<uint32_t>(((prefix + 1) << shift) - 1);
  if (last == 0x7fffffffu) --last;  // The code of -0, which belongs to the zeros of the next bucket.
  const float low = from_ordered_bits(static_cast<uint32_t>(prefix << shift));
  const float high = from_ordered_bits(last);
  return {prefix, shift, low > lowest ? low : lowest,
          std::isnan(high) ? std::numeric_limits<float>::infinity() : high};
}

constexpr uint32_t kDigitBits = 11;
// Neighbours often share a bucket, and an addition to memory waits for the one before it; so they take turns
// in copies.
constexpr size_t kCopies = 2;
using Histogram = std::array<std::array<double, kCopies>, size_t{1} << kDigitBits>;

/// Calls visit(value, is_inside) for all values of those short runs that have one in the bucket. Runs are
/// tested in vector code; inside one the caller is expected to go without branches, which would be as good as
/// random.
template <typename Visit>
void for_runs_in(std::span<const float> values, const Bucket& bucket, Visit visit) {
  constexpr size_t kRun = 32;
  const auto is_inside = [&bucket](float value) { return (value >= bucket.low) & (value <= bucket.high); };
  for (size_t start = 0; start < values.size(); start += kRun) {
    const float* const run = values.data() + start;
    const size_t n = std::min(kRun, values.size() - start);
    int32_t n_inside = 0;
    for (size_t i = 0; i < n; ++i) n_inside += is_inside(run[i]);
    if (n_inside == 0) continue;
    for (size_t i = 0; i < n; ++i) visit(run[i], is_inside(run[i]));
  }
}

/// Adds the weight of each value in the bucket to the histogram of the bits that follow the bucket's prefix.
template <typename Weight>
void weigh(std::span<const float> values, const Bucket& bucket, uint32_t shift, Weight weight,
           Histogram& histogram) {
  const uint32_t mask = static_cast<uint32_t>((uint64_t{1} << (bucket.shift - shift)) - 1);
  std::array<float, 256> batch;
  size_t n = 0;
  const auto add_batch = [&] {
    std::array<float, 256> weights;
    std::array<uint32_t, 256> digits;
    for (size_t i = 0; i < n; ++i) weights[i] = weight(batch[i]);
    for (size_t i = 0; i < n; ++i) digits[i] = (ordered_bits(batch[i]) >> shift) & mask;
    for (size_t i = 0; i < n; ++i) histogram[digits[i]][i % kCopies] += static_cast<double>(weights[i]);
    n = 0;
  };
  for_runs_in(values, bucket, [&](float value, bool is_inside) {
    batch[n] = value;
    n += is_inside;
    if (n == batch.size()) add_batch();
  });
  add_batch();
}

/// Copies the values in the bucket to `out` and returns that part, or `values` if they do not fit.
std::span<const float> gather(std::span<const float> values, const Bucket& bucket, std::span<float> out) {
  size_t n = 0;
  const size_t last = out.size() - 1;
  for_runs_in(values, bucket, [&](float value, bool is_inside) {
    out[std::min(n, last)] = value;
    n += is_inside;
  });
  return n > last ? values : out.first(n);
}

/// Cuts the descending order of the values at or above `lowest` where the weight of all earlier ones reaches
/// `limit`. A radix select over the bits of the floats: a histogram of weights by the upper 11 bits finds the
/// bucket of the cut, two more the exact value. Sorting 32,768 floats takes 2 ms; this is linear for any
/// distribution and allocates nothing. If no value is at or above `lowest`, the cut is at NaN, below which
/// there is nothing.
/// @param limit   Above 0: the first value always stays.
/// @param weight  (float value) -> float, above 0.
template <typename Weight>
Cut cut_descending(std::span<const float> values, float lowest, double limit, Weight weight) {
  std::array<float, 4096> gathered;
  Histogram histogram;
  Bucket bucket = {0, 32, lowest, std::numeric_limits<float>::infinity()};
  double earlier = 0;
  for (const uint32_t shift : {32 - kDigitBits, 32 - 2 * kDigitBits, uint32_t{0}}) {
    histogram.fill({});
    weigh(values, bucket, shift, weight, histogram);
    uint64_t digit = 0;
    double before_digit = earlier;
    for (size_t candidate = histogram.size(); candidate-- > 0;) {
      double sum = 0;
      for (const double copy : histogram[candidate]) sum += copy;
      if (sum == 0) continue;
      digit = candidate;
      before_digit = earlier;
      earlier += sum;
      if (earlier >= limit) break;
    }
    earlier = before_digit;
    bucket = bucket_at((bucket.prefix << (bucket.shift - shift)) | digit, shift, lowest);
    if (shift == 32 - kDigitBits) values = gather(values, bucket, gathered);
  }
  const float value = from_ordered_bits(static_cast<uint32_t>(bucket.prefix));
  const double step = static_cast<double>(weight(value));
  const auto n_values = static_cast<int64_t>(values.size());
  int64_t n_equal = 1;
  while (n_equal < n_values && earlier + static_cast<double>(n_equal) * step < limit) ++n_equal;
  return {value, n_equal};
}

/// Which of several tokens with the value of the cut stay.
enum class Ties { kLowerIds, kHigherIds };

void exclude_below(std::span<float> values, Cut cut, Ties ties) {
  int32_t n_equal = 0;  // 32 bits like the floats, for a vector loop.
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
                        [](float) { return 1.0f; });
}

}  // namespace

void apply_top_p(std::span<float> logprobs, float top_p) {
  // n tokens of probability (1 - top_p) / n or less hold 1 - top_p at most, so none of them can stay. The
  // margin of 1e-3 is far above the rounding of the logprobs.
  const double tail = (1.0 - static_cast<double>(top_p)) / static_cast<double>(logprobs.size());
  const float lowest =
      std::max(static_cast<float>(std::log(tail) - 1e-3), std::numeric_limits<float>::lowest());
  const Cut cut = cut_descending(logprobs, lowest, static_cast<double>(top_p),
                                 [](float logprob) { return exp_f32(logprob); });
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
    const auto weight = static_cast<double>(exp_f32(logprob - max));
    if (weight > least_weight && logprob < least_likely) least_likely = logprob;
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
