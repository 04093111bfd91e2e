#include "lille/perplexity.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace lille {
namespace {

// Logits of 32,768 tokens for many rows are the largest thing in memory; results do not depend on the step.
constexpr int64_t kRowsAtOnce = 128;

double window_loss(Session& session, std::span<const int32_t> inputs_and_next, std::stop_token cancel) {
  PromptCache cache = make_prompt_cache(session.model());
  const auto n_inputs = static_cast<int64_t>(inputs_and_next.size()) - 1;
  double sum = 0;
  for (int64_t begin = 0; begin < n_inputs; begin += kRowsAtOnce) {
    const auto n = static_cast<std::size_t>(std::min(kRowsAtOnce, n_inputs - begin));
    const BatchItem item = {inputs_and_next.subspan(static_cast<std::size_t>(begin), n), &cache,
                            LogitsFor::kAll};
    const Logits logits = session.forward(std::span(&item, 1), {cancel, {}, nullptr});
    for (const double loss :
         session.cross_entropy(logits, inputs_and_next.subspan(static_cast<std::size_t>(begin) + 1, n)))
      sum += loss;
  }
  return sum / static_cast<double>(n_inputs);
}

}  // namespace

PerplexityResult perplexity(Session& session, std::span<const int32_t> ids,
                            const PerplexityOptions& options) {
  const ModelArgs& args = session.model().args();
  const auto window = static_cast<std::size_t>(args.block_size);
  if (ids.size() < window + 1)
    raise(
        ErrorCode::kInvalidArgument,
        "[perplexity] expected at least {} tokens (one window of block_size and the token after it), got {}. "
        "Hint: use a longer text",
        window + 1, ids.size());
  for (const int32_t id : ids)
    if (id < 0 || id >= args.vocab_size)
      raise(ErrorCode::kInvalidArgument, "[perplexity] expected token ids from 0 to {}, got {}",
            args.vocab_size - 1, id);

  PerplexityResult result;
  const std::size_t n_windows = (ids.size() - 1) / window;
  for (std::size_t window_idx = 0; window_idx < n_windows; ++window_idx) {
    result.window_losses.push_back(
        window_loss(session, ids.subspan(window_idx * window, window + 1), options.cancel));
    if (options.on_progress)
      options.on_progress(static_cast<int64_t>(window_idx) + 1, static_cast<int64_t>(n_windows));
  }
  for (const double loss : result.window_losses) result.loss += loss / static_cast<double>(n_windows);
  result.perplexity = std::exp(result.loss);
  return result;
}

}  // namespace lille
