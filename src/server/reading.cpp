#include "server/reading.h"

#include <algorithm>

#include "generate/answer.h"
#include "lille/logit_lens.h"
#include "model/hidden_sum.h"

namespace lille {
namespace {

// Inspected tokens of one pass: each costs as many output projections as there are blocks, and others wait.
constexpr int64_t kInspectedTokens = 8;

// Sees what a reading wants of the inside of a pass.
class Insides : public Observer {
 public:
  /// @param attention_row  of the pass; -1: none.
  Insides(const ReadingRequest& request, const ModelArgs& args, int64_t attention_row,
          std::vector<double>& hidden_sum, std::vector<float>& attention)
      : request_(request), args_(args), attention_row_(attention_row), attention_(attention) {
    if (request.wants_hidden) hidden_sum_.emplace(hidden_sum, args);
  }

  void hidden_state(int64_t hidden_idx, std::span<const float> values) override {
    if (request_.lens_top > 0 && hidden_idx <= args_.n_layer)
      blocks.emplace_back(values.begin(), values.end());
    if (hidden_sum_) hidden_sum_->hidden_state(hidden_idx, values);
  }
  bool wants_attention_weights() const override { return attention_row_ >= 0; }
  void attention_weights(int64_t, int64_t row_idx, std::span<const float> weights) override {
    if (row_idx == attention_row_) attention_.insert(attention_.end(), weights.begin(), weights.end());
  }

  /// (n_layer + 1, n_rows, n_embd) if there is a lens.
  std::vector<std::vector<float>> blocks;

 private:
  const ReadingRequest& request_;
  const ModelArgs& args_;
  int64_t attention_row_;
  std::optional<HiddenSum> hidden_sum_;
  std::vector<float>& attention_;
};

// What follows each token of a pass after each block: (n_rows, n_blocks).
std::vector<std::vector<TokenLogprob>> look_through_lens(Session& session,
                                                         std::span<const std::vector<float>> blocks,
                                                         int64_t n_top) {
  std::vector<std::vector<TokenLogprob>> seen;
  for (std::size_t block_idx = 0; block_idx < blocks.size(); ++block_idx) {
    const Logits logits = logit_lens(session, blocks[block_idx]);
    seen.resize(static_cast<std::size_t>(logits.n_rows) * blocks.size());
    for (int64_t row_idx = 0; row_idx < logits.n_rows; ++row_idx) {
      std::vector<float> logprobs(logits.row(row_idx).begin(), logits.row(row_idx).end());
      log_softmax(logprobs);
      seen[static_cast<std::size_t>(row_idx) * blocks.size() + block_idx] = top_logprobs(logprobs, n_top);
    }
  }
  return seen;
}

ScoredToken score(std::span<const float> logits, int32_t token, int64_t n_top) {
  std::vector<float> logprobs(logits.begin(), logits.end());
  log_softmax(logprobs);
  const auto likeliest = std::ranges::max_element(logprobs) - logprobs.begin();
  return {
      {token, logprobs[static_cast<std::size_t>(token)]}, likeliest == token, top_logprobs(logprobs, n_top)};
}

}  // namespace

void Scheduler::Reading::State::restore(PrefixCache& prefix) {
  // Each scored token is told by the row before it; what is inside is seen of rows that are computed.
  if (looks_inside()) return;
  result.n_cached_tokens =
      prefix.restore(*cache, request.tokens, std::max<int64_t>(request.first_scored - 1, 0));
}

bool Scheduler::Reading::State::looks_inside() const noexcept {
  return request.wants_hidden || request.lens_top > 0 || request.attention_of;
}

int64_t Scheduler::Reading::State::n_to_read() const noexcept {
  return static_cast<int64_t>(request.tokens.size()) - (looks_inside() ? 0 : 1);
}

bool Scheduler::Reading::State::is_read() const noexcept { return cache->offset() >= n_to_read(); }

void Scheduler::Reading::State::read(Session& session, int64_t max_tokens, const std::stop_token& cancel) {
  if (is_read()) return;
  const int64_t begin = cache->offset();
  const int64_t n_all = n_to_read();
  if (request.lens_top > 0) max_tokens = std::min(max_tokens, kInspectedTokens);
  int64_t end = std::min(begin + max_tokens, n_all);
  // Rows that tell no scored token need no logits.
  const int64_t first_row = request.first_scored == 0 ? n_all : request.first_scored - 1;
  if (begin < first_row) end = std::min(end, first_row);
  const bool has_logits = begin >= first_row;

  const auto tokens = std::span<const int32_t>(request.tokens);
  const BatchItem item = {
      tokens.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)), cache.get(),
      has_logits ? LogitsFor::kAll : LogitsFor::kNone};
  const int64_t attention_of = request.attention_of.value_or(-1);
  Insides insides(request, session.model().args(),
                  attention_of >= begin && attention_of < end ? attention_of - begin : -1, hidden_sum,
                  result.attention);
  ForwardOptions options;
  options.cancel = cancel;
  if (looks_inside()) options.observer = &insides;
  const Logits logits = session.forward({&item, 1}, options);
  for (int64_t row_idx = 0; row_idx < logits.n_rows; ++row_idx) {
    const auto token_idx = static_cast<std::size_t>(begin + row_idx + 1);
    if (token_idx < tokens.size())
      result.scored.push_back(score(logits.row(row_idx), tokens[token_idx], request.top_logprobs));
  }
  std::ranges::move(look_through_lens(session, insides.blocks, request.lens_top),
                    std::back_inserter(result.lens));
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
