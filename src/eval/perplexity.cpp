#include "lille/perplexity.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace lille {
namespace {

// Logits of 32,768 tokens for many rows are the largest thing in memory; results do not depend on the step.
constexpr int64_t kScoredAtOnce = 128;

using Ids = std::span<const int32_t>;

// Losses of the last n_scored of `targets`, each of which follows the input of its index.
std::vector<double> losses_of_window(Session& session, Ids inputs, Ids targets, int64_t n_scored,
                                     const std::stop_token& cancel) {
  PromptCache cache = make_prompt_cache(session);
  const auto n_inputs = static_cast<int64_t>(inputs.size());
  std::vector<double> losses;
  const auto read = [&](int64_t begin, int64_t n, LogitsFor logits_for) {
    const BatchItem item = {inputs.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(n)),
                            &cache, logits_for};
    return session.forward(std::span(&item, 1), {cancel, {}, nullptr});
  };
  const int64_t n_unscored = n_inputs - n_scored;
  if (n_unscored > 0) read(0, n_unscored, LogitsFor::kNone);
  for (int64_t begin = n_unscored; begin < n_inputs; begin += kScoredAtOnce) {
    const int64_t n = std::min(kScoredAtOnce, n_inputs - begin);
    const Logits logits = read(begin, n, LogitsFor::kAll);
    const std::vector<double> some = session.cross_entropy(
        logits, targets.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(n)));
    losses.insert(losses.end(), some.begin(), some.end());
  }
  return losses;
}

double mean_of(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// Sample standard deviation over the root of the number; 0 / 0 for one value.
double standard_error(std::span<const double> values) {
  const double mean = mean_of(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const auto n = static_cast<double>(values.size());
  return std::sqrt(squares / (n - 1) / n);
}

void check_range(std::string_view name, int64_t value, int64_t max) {
  if (value < 1 || value > max)
    raise(ErrorCode::kInvalidArgument, "[perplexity] {}: expected a number from 1 to {}, got {}", name, max,
          value);
}

void check_ids(const ModelArgs& args, Ids ids, const PerplexityOptions& options, int64_t window) {
  const auto n_needed = static_cast<std::size_t>(window) + (options.bos ? 0 : 1);
  if (ids.size() < n_needed)
    raise(
        ErrorCode::kInvalidArgument,
        "[perplexity] expected at least {} tokens (one window of {}{}), got {}. Hint: use a longer text or a "
        "smaller window",
        n_needed, window == args.block_size ? "block_size" : std::to_string(window),
        options.bos ? "" : " and the token after it", ids.size());
  const auto check_id = [&](int32_t id) {
    if (id < 0 || id >= args.vocab_size)
      raise(ErrorCode::kInvalidArgument, "[perplexity] expected token ids from 0 to {}, got {}",
            args.vocab_size - 1, id);
  };
  if (options.bos) check_id(*options.bos);
  std::ranges::for_each(ids, check_id);
}

}  // namespace

PerplexityResult perplexity(Session& session, Ids ids, const PerplexityOptions& options) {
  const ModelArgs& args = session.model().args();
  PerplexityResult result;
  result.window = options.window == 0 ? args.block_size : options.window;
  check_range("window", result.window, args.block_size);
  result.stride = options.stride == 0 ? result.window : options.stride;
  check_range("stride", result.stride, result.window);
  check_ids(args, ids, options, result.window);
  result.first_predicted = options.bos ? 0 : 1;

  const auto window = static_cast<std::size_t>(result.window);
  const Ids all_targets = ids.subspan(static_cast<std::size_t>(result.first_predicted));
  const int64_t n_windows = 1 + (static_cast<int64_t>(all_targets.size()) - result.window) / result.stride;
  for (int64_t window_idx = 0; window_idx < n_windows; ++window_idx) {
    const auto begin = static_cast<std::size_t>(window_idx * result.stride);
    const Ids targets = all_targets.subspan(begin, window);
    std::vector<int32_t> inputs = {options.bos ? *options.bos : ids[begin]};
    inputs.insert(inputs.end(), targets.begin(), targets.end() - 1);
    const int64_t n_scored = window_idx == 0 ? result.window : result.stride;
    const std::vector<double> losses = losses_of_window(session, inputs, targets, n_scored, options.cancel);
    for (int64_t pos = result.window - n_scored; pos < result.window; ++pos) result.positions.push_back(pos);
    result.token_losses.insert(result.token_losses.end(), losses.begin(), losses.end());
    result.window_losses.push_back(mean_of(losses));
    if (options.on_progress) options.on_progress(window_idx + 1, n_windows);
  }
  result.loss = mean_of(result.token_losses);
  result.perplexity = std::exp(result.loss);
  result.loss_error = standard_error(result.token_losses);
  result.window_error = standard_error(result.window_losses);
  return result;
}

std::vector<PerplexityPositions> loss_by_position(const PerplexityResult& result) {
  std::vector<PerplexityPositions> ranges;
  for (int64_t begin = 0; begin < result.window; begin = std::max<int64_t>(1, 2 * begin)) {
    PerplexityPositions range = {begin, std::min(std::max<int64_t>(1, 2 * begin), result.window), 0, 0};
    for (std::size_t idx = 0; idx < result.positions.size(); ++idx) {
      if (result.positions[idx] < range.begin || result.positions[idx] >= range.end) continue;
      range.loss += result.token_losses[idx];
      ++range.n_tokens;
    }
    if (range.n_tokens == 0) continue;
    range.loss /= static_cast<double>(range.n_tokens);
    ranges.push_back(range);
  }
  return ranges;
}

}  // namespace lille
