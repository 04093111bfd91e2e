#include "lille/divergence.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/check.h"
#include "base/thread_pool.h"
#include "eval/limits.h"

namespace lille {
namespace {

// As for perplexity: logits of many rows are the largest thing in memory.
constexpr int64_t kRowsAtOnce = 128;

float max_of(std::span<const float> logits) { return *std::ranges::max_element(logits); }

bool has_nan(std::span<const float> logits) {
  return std::ranges::any_of(logits, [](float logit) { return std::isnan(logit); });
}

// KL(softmax(a) || softmax(b)). With w = exp(a - max(a)) the sum of p_a * (a - b) needs no logarithm of each
// element, and equal logits give exactly 0.
double kl_divergence(std::span<const float> a, std::span<const float> b) {
  if (has_nan(a) || has_nan(b)) return std::numeric_limits<double>::quiet_NaN();
  const double max_a = max_of(a);
  const double max_b = max_of(b);
  double sum_a = 0;
  double sum_b = 0;
  double weighted = 0;
  for (std::size_t id = 0; id < a.size(); ++id) {
    const double shifted_a = a[id] - max_a;
    const double shifted_b = b[id] - max_b;
    const double weight = std::exp(shifted_a);
    sum_a += weight;
    sum_b += std::exp(shifted_b);
    // Where a token is impossible its term is 0, whatever the other model thinks of it.
    if (weight > 0) weighted += weight * (shifted_a - shifted_b);
  }
  return weighted / sum_a - std::log(sum_a) + std::log(sum_b);
}

bool has_same_top(std::span<const float> a, std::span<const float> b) {
  return std::ranges::max_element(a) - a.begin() == std::ranges::max_element(b) - b.begin();
}

void check(const ModelArgs& a, const ModelArgs& b, std::span<const int32_t> ids) {
  if (a.vocab_size != b.vocab_size)
    raise(ErrorCode::kInvalidArgument,
          "[divergence] expected models of one vocabulary, got {} and {} tokens. Hint: are they of one "
          "family?",
          a.vocab_size, b.vocab_size);
  if (ids.empty()) raise(ErrorCode::kInvalidArgument, "[divergence] expected at least one token, got none");
  for (const int32_t id : ids)
    if (id < 0 || id >= a.vocab_size)
      raise(ErrorCode::kInvalidArgument, "[divergence] expected token ids from 0 to {}, got {}",
            a.vocab_size - 1, id);
}

/// What all predictions came to, in the order of the tokens.
struct Compared {
  std::vector<double> kl;
  std::vector<char> has_same_top;
};

// Rows go to threads one by one, each with a place of its own for its result.
void add(Compared& compared, ThreadPool& pool, const Logits& a, const Logits& b) {
  const std::size_t begin = compared.kl.size();
  compared.kl.resize(begin + static_cast<std::size_t>(a.n_rows));
  compared.has_same_top.resize(compared.kl.size());
  pool.run(a.n_rows, [&](int64_t row_idx, int64_t) {
    const std::size_t at = begin + static_cast<std::size_t>(row_idx);
    compared.kl[at] = kl_divergence(a.row(row_idx), b.row(row_idx));
    compared.has_same_top[at] = has_same_top(a.row(row_idx), b.row(row_idx)) ? 1 : 0;
  });
}

Divergence summary_of(const Compared& compared) {
  Divergence result;
  result.n_predictions = static_cast<int64_t>(compared.kl.size());
  for (std::size_t idx = 0; idx < compared.kl.size(); ++idx) {
    const double kl = compared.kl[idx];
    result.mean += kl;
    result.top1_agreement += compared.has_same_top[idx];
    // The first NaN stays.
    if (kl > result.max || (std::isnan(kl) && !std::isnan(result.max))) {
      result.max = kl;
      result.max_at = static_cast<int64_t>(idx);
    }
  }
  result.mean /= static_cast<double>(result.n_predictions);
  result.top1_agreement /= static_cast<double>(result.n_predictions);
  result.p999 = std::isnan(result.mean) ? result.mean : percentile(compared.kl, 0.999);
  return result;
}

}  // namespace

Divergence divergence(Session& a, Session& b, std::span<const int32_t> ids,
                      const DivergenceOptions& options) {
  check(a.model().args(), b.model().args(), ids);
  const int64_t window = std::min(a.model().args().block_size, b.model().args().block_size);
  const auto n_ids = static_cast<int64_t>(ids.size());
  ThreadPool pool(a.n_threads());
  Compared compared;
  int64_t n_windows = 0;
  for (int64_t window_begin = 0; window_begin < n_ids; window_begin += window) {
    PromptCache cache_a = make_prompt_cache(a);
    PromptCache cache_b = make_prompt_cache(b);
    const int64_t window_end = std::min(window_begin + window, n_ids);
    for (int64_t begin = window_begin; begin < window_end; begin += kRowsAtOnce) {
      const auto n = static_cast<std::size_t>(std::min(kRowsAtOnce, window_end - begin));
      const std::span<const int32_t> tokens = ids.subspan(static_cast<std::size_t>(begin), n);
      const BatchItem item_a = {tokens, &cache_a, LogitsFor::kAll};
      const BatchItem item_b = {tokens, &cache_b, LogitsFor::kAll};
      const Logits logits_a = a.forward(std::span(&item_a, 1), {options.cancel, {}, nullptr});
      add(compared, pool, logits_a, b.forward(std::span(&item_b, 1), {options.cancel, {}, nullptr}));
      if (options.on_progress) options.on_progress(static_cast<int64_t>(compared.kl.size()), n_ids);
    }
    ++n_windows;
  }
  Divergence result = summary_of(compared);
  result.n_windows = n_windows;
  return result;
}

}  // namespace lille
