#include "server/reading.h"

#include <algorithm>

#include "generate/answer.h"
#include "model/hidden_sum.h"

namespace lille {
namespace {

ScoredToken score(std::span<const float> logits, int32_t token, int64_t n_top) {
  std::vector<float> logprobs(logits.begin(), logits.end());
  log_softmax(logprobs);
  const auto likeliest = std::ranges::max_element(logprobs) - logprobs.begin();
  return {
      {token, logprobs[static_cast<std::size_t>(token)]}, likeliest == token, top_logprobs(logprobs, n_top)};
}

}  // namespace

void Scheduler::Reading::State::restore(PrefixCache& prefix) {
  // Each scored token is told by the row before it, and a mean needs every row.
  if (request.wants_hidden) return;
  result.n_cached_tokens =
      prefix.restore(*cache, request.tokens, std::max<int64_t>(request.first_scored - 1, 0));
}

bool Scheduler::Reading::State::is_read() const noexcept {
  const auto n_tokens = static_cast<int64_t>(request.tokens.size());
  return cache->offset() >= (request.wants_hidden ? n_tokens : n_tokens - 1);
}

void Scheduler::Reading::State::read(Session& session, int64_t max_tokens, const std::stop_token& cancel) {
  if (is_read()) return;
  const int64_t begin = cache->offset();
  const int64_t n_all = static_cast<int64_t>(request.tokens.size()) - (request.wants_hidden ? 0 : 1);
  int64_t end = std::min(begin + max_tokens, n_all);
  // Rows that tell no scored token need no logits.
  const int64_t first_row = request.first_scored == 0 ? n_all : request.first_scored - 1;
  if (begin < first_row) end = std::min(end, first_row);
  const bool has_logits = begin >= first_row;

  const auto tokens = std::span<const int32_t>(request.tokens);
  const BatchItem item = {
      tokens.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)), cache.get(),
      has_logits ? LogitsFor::kAll : LogitsFor::kNone};
  HiddenSum observer(hidden_sum, session.model().args());
  ForwardOptions options;
  options.cancel = cancel;
  if (request.wants_hidden) options.observer = &observer;
  const Logits logits = session.forward({&item, 1}, options);
  for (int64_t row_idx = 0; row_idx < logits.n_rows; ++row_idx) {
    const auto token_idx = static_cast<std::size_t>(begin + row_idx + 1);
    if (token_idx < tokens.size())
      result.scored.push_back(score(logits.row(row_idx), tokens[token_idx], request.top_logprobs));
  }
}

void Scheduler::Reading::State::finish() {
  for (const double sum : hidden_sum)
    result.mean_hidden.push_back(static_cast<float>(sum / static_cast<double>(request.tokens.size())));
  {
    const std::scoped_lock lock(mutex);
    has_ended = true;
  }
  changed.notify_one();
}

void Scheduler::Reading::State::fail(const Error& failure) {
  {
    const std::scoped_lock lock(mutex);
    error = failure;
    has_ended = true;
  }
  changed.notify_one();
}

}  // namespace lille
