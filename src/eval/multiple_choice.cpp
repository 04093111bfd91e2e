#include "lille/multiple_choice.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/utf8.h"
#include "eval/white_space.h"

namespace lille {
namespace {

using Ids = std::span<const int32_t>;

int64_t n_characters(std::string_view text) {
  int64_t n = 0;
  for (; !text.empty(); ++n) text.remove_prefix(first_utf8_symbol(text).n_bytes);
  return n;
}

void check_item(const ChoiceItem& item, int64_t number) {
  const auto n_choices = static_cast<int64_t>(item.choices.size());
  if (n_choices < 2)
    raise(ErrorCode::kInvalidArgument, "[score_choices] item {}: expected at least two choices, got {}",
          number, n_choices);
  for (std::size_t idx = 0; idx < item.choices.size(); ++idx)
    if (item.choices[idx].empty())
      raise(ErrorCode::kInvalidArgument,
            "[score_choices] item {}: choices[{}]: expected a text, got an empty one", number, idx);
  if (item.answer < 0 || item.answer >= n_choices)
    raise(ErrorCode::kInvalidArgument, "[score_choices] item {}: expected an answer from 0 to {}, got {}",
          number, n_choices - 1, item.answer);
}

// The context of one item, read as far as all of its choices have it in common.
class ContextScorer {
 public:
  ContextScorer(Session& session, std::stop_token cancel)
      : session_(session), cancel_(std::move(cancel)), cache_(make_prompt_cache(session)) {}

  ChoiceScore score(const EncodedContinuation& ids) {
    const auto block_size = static_cast<std::size_t>(session_.model().args().block_size);
    ChoiceScore score;
    score.n_tokens = static_cast<int64_t>(ids.continuation.size());
    // The last token of the continuation is predicted and not read.
    const std::size_t n_read = ids.context.size() + ids.continuation.size() - 1;
    Ids context = ids.context;
    if (n_read > block_size) {
      context = context.subspan(n_read - block_size);
      score.is_cut = true;
    }
    read(context.first(context.size() - 1));
    std::vector<int32_t> inputs = {context.back()};
    inputs.insert(inputs.end(), ids.continuation.begin(), ids.continuation.end() - 1);
    const BatchItem item = {inputs, &cache_, LogitsFor::kAll};
    const Logits logits = session_.forward(std::span(&item, 1), {cancel_, {}, nullptr});
    for (const double loss : session_.cross_entropy(logits, ids.continuation)) score.log_likelihood -= loss;
    return score;
  }

 private:
  // Leaves exactly `tokens` in the cache.
  void read(Ids tokens) {
    const Ids held = cache_.tokens();
    const auto differing = std::ranges::mismatch(held, tokens).in1;
    cache_.trim(held.end() - differing);
    const Ids rest = tokens.subspan(static_cast<std::size_t>(cache_.offset()));
    if (rest.empty()) return;
    const BatchItem item = {rest, &cache_, LogitsFor::kNone};
    session_.forward(std::span(&item, 1), {cancel_, {}, nullptr});
  }

  Session& session_;
  std::stop_token cancel_;
  PromptCache cache_;
};

// np.argmax: the first of equal values, and the first NaN before any number.
template <typename Value>
int64_t argmax(const std::vector<ChoiceScore>& choices, Value value) {
  std::size_t best = 0;
  for (std::size_t idx = 1; idx < choices.size(); ++idx) {
    const double rival = value(choices[idx]);
    const double best_value = value(choices[best]);
    if (rival > best_value || (std::isnan(rival) && !std::isnan(best_value))) best = idx;
  }
  return static_cast<int64_t>(best);
}

void check_continuation(const EncodedContinuation& ids, int64_t number, std::size_t choice_idx,
                        int64_t block_size) {
  const auto n_tokens = static_cast<int64_t>(ids.continuation.size());
  if (n_tokens == 0)
    raise(ErrorCode::kInvalidArgument,
          "[score_choices] item {}: choices[{}]: expected a text that adds a token to the context, got one "
          "that does not",
          number, choice_idx);
  if (n_tokens > block_size)
    raise(
        ErrorCode::kInvalidArgument,
        "[score_choices] item {}: choices[{}]: expected at most {} tokens, the context of the model, got {}",
        number, choice_idx, block_size, n_tokens);
}

Accuracy accuracy(const std::vector<ItemScore>& items, int64_t ItemScore::*chosen) {
  const auto n = static_cast<double>(items.size());
  const auto n_right = static_cast<double>(
      std::ranges::count_if(items, [&](const ItemScore& item) { return item.*chosen == item.answer; }));
  const double mean = n_right / n;
  // Of zeros and ones the sum of squared distances from the mean is n * mean * (1 - mean).
  return {mean, std::sqrt(n * mean * (1 - mean) / (n - 1)) / std::sqrt(n)};
}

}  // namespace

EncodedContinuation encode_continuation(const Tokenizer& tokenizer, std::string_view context,
                                        std::string_view continuation, bool bos) {
  const std::string_view stripped = without_trailing_space(context);
  const std::string whole = std::string(context).append(continuation);
  EncodedContinuation ids;
  ids.context = tokenizer.encode(stripped);
  const std::vector<int32_t> together = tokenizer.encode(whole);
  const std::size_t n_context = std::min(ids.context.size(), together.size());
  ids.continuation.assign(together.begin() + static_cast<std::ptrdiff_t>(n_context), together.end());
  if (bos || ids.context.empty()) ids.context.insert(ids.context.begin(), tokenizer.bos_token_id());
  return ids;
}

ChoiceResult score_choices(Session& session, const Tokenizer& tokenizer, std::span<const ChoiceItem> items,
                           const ChoiceOptions& options) {
  if (items.empty())
    raise(ErrorCode::kInvalidArgument, "[score_choices] expected at least one item, got none");
  for (std::size_t idx = 0; idx < items.size(); ++idx) check_item(items[idx], static_cast<int64_t>(idx) + 1);
  ChoiceResult result;
  ContextScorer scorer(session, options.cancel);
  const auto n_items = static_cast<int64_t>(items.size());
  for (const ChoiceItem& item : items) {
    const int64_t number = static_cast<int64_t>(result.items.size()) + 1;
    ItemScore scores;
    scores.answer = item.answer;
    for (const std::string& choice : item.choices) {
      const EncodedContinuation ids = encode_continuation(tokenizer, item.context, " " + choice, options.bos);
      check_continuation(ids, number, scores.choices.size(), session.model().args().block_size);
      ChoiceScore score = scorer.score(ids);
      score.n_characters = n_characters(choice);
      score.n_bytes = static_cast<int64_t>(choice.size());
      result.n_tokens += score.n_tokens;
      result.n_cut += score.is_cut ? 1 : 0;
      scores.choices.push_back(score);
    }
    scores.likeliest = argmax(scores.choices, [](const ChoiceScore& score) { return score.log_likelihood; });
    scores.likeliest_norm = argmax(scores.choices, [](const ChoiceScore& score) {
      return score.log_likelihood / static_cast<double>(score.n_characters);
    });
    result.items.push_back(std::move(scores));
    if (options.on_progress) options.on_progress(number, n_items);
  }
  result.acc = accuracy(result.items, &ItemScore::likeliest);
  result.acc_norm = accuracy(result.items, &ItemScore::likeliest_norm);
  return result;
}

}  // namespace lille
