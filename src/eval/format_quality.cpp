#include "eval/format_quality.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "eval/limits.h"
#include "lille/divergence.h"
#include "lille/perplexity.h"

namespace lille {
namespace {

constexpr int kPrefills = 3;
constexpr int kDecodes = 24;

/// Seconds of a pass that reads these tokens.
double seconds_of(Session& session, PromptCache& cache, std::span<const int32_t> tokens,
                  std::stop_token cancel) {
  const auto start = std::chrono::steady_clock::now();
  const BatchItem item = {tokens, &cache, LogitsFor::kLast};
  session.forward(std::span(&item, 1), {std::move(cancel), {}, nullptr});
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void measure_speed(FormatResult& result, const Model& format, std::span<const int32_t> ids,
                   const FormatQualityOptions& options) {
  Session session(format, {.n_threads = options.n_threads});
  const std::span<const int32_t> window = ids.first(static_cast<std::size_t>(format.args().block_size));
  std::vector<double> prefills, decodes;
  for (int pass = 0; pass < kPrefills; ++pass) {
    PromptCache cache = make_prompt_cache(format);
    prefills.push_back(seconds_of(session, cache, window, options.cancel));
  }
  PromptCache cache = make_prompt_cache(format);
  for (std::size_t idx = 0; idx < std::min<std::size_t>(kDecodes, window.size()); ++idx)
    decodes.push_back(seconds_of(session, cache, window.subspan(idx, 1), options.cancel));
  result.prefill_tokens_per_s = static_cast<double>(window.size()) / percentile(prefills, 0.5);
  result.decode_tokens_per_s = 1 / percentile(decodes, 0.5);
}

}  // namespace

void measure_quality(FormatResult& result, const Model& source, const Model& format,
                     std::span<const int32_t> ids, const FormatQualityOptions& options) {
  Session exact(format, {.n_threads = options.n_threads, .exact = true});
  PerplexityOptions over_windows;
  over_windows.cancel = options.cancel;
  const PerplexityResult measured = perplexity(exact, ids, over_windows);
  result.perplexity = measured.perplexity;
  // The error of exp(loss), to the first order; one window has no spread.
  if (measured.window_losses.size() > 1)
    result.perplexity_error = measured.perplexity * measured.window_error;
  Session exact_source(source, {.n_threads = options.n_threads, .exact = true});
  const Divergence found = divergence(exact_source, exact, ids, {options.on_progress, options.cancel});
  result.kl_mean = found.mean;
  result.kl_p999 = found.p999;
  result.top1_agreement = found.top1_agreement;
  measure_speed(result, format, ids, options);
}

}  // namespace lille
