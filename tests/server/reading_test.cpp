#include "server/reading.h"

#include <algorithm>
#include <numeric>

#include "generate/answer.h"
#include "server/tiny.h"

namespace lille {
namespace {

using test::kLong;

class ReadingTest : public test::TinyModel {
 protected:
  std::vector<int32_t> tokens_ = ids(
      "The river, which was wide and slow, ran between two rows of old trees, and nobody had ever crossed "
      "it. At the end of the summer the water was so low that one could see the stones on its ground.");

  // (n_tokens, vocab_size) of one pass over everything.
  std::vector<std::vector<float>> rows() {
    PromptCache cache(model_);
    const BatchItem item = {tokens_, &cache, LogitsFor::kAll};
    const Logits logits = session_.forward({&item, 1});
    std::vector<std::vector<float>> rows;
    for (int64_t row_idx = 0; row_idx < logits.n_rows; ++row_idx) {
      const std::span<const float> row = logits.row(row_idx);
      rows.emplace_back(row.begin(), row.end());
      log_softmax(rows.back());
    }
    return rows;
  }
};

TEST_F(ReadingTest, ScoresAreTheRowsOfOnePassHoweverTheTextIsCutOrCached) {
  const std::vector<std::vector<float>> wanted = rows();
  Scheduler scheduler(session_, tokenizer_, {.prefill_step_size = 7});
  const auto n_tokens = static_cast<int64_t>(tokens_.size());
  int64_t n_cached = 0;
  for (const int64_t first : {int64_t{1}, int64_t{20}, n_tokens - 1, n_tokens}) {
    const auto reading = scheduler.read({.tokens = tokens_, .first_scored = first, .top_logprobs = 3});
    std::optional<ReadingResult> result = reading->wait(kLong);
    ASSERT_TRUE(result);
    ASSERT_EQ(static_cast<int64_t>(result->scored.size()), n_tokens - first);
    for (std::size_t idx = 0; idx < result->scored.size(); ++idx) {
      const ScoredToken& scored = result->scored[idx];
      const auto token_idx = static_cast<std::size_t>(first) + idx;
      const std::vector<float>& row = wanted[token_idx - 1];
      EXPECT_EQ(scored.token.token, tokens_[token_idx]);
      EXPECT_EQ(scored.token.logprob, row[static_cast<std::size_t>(tokens_[token_idx])]);
      const auto best = std::ranges::max_element(row) - row.begin();
      EXPECT_EQ(scored.is_likeliest, best == tokens_[token_idx]);
      ASSERT_EQ(scored.top_logprobs.size(), 3u);
      EXPECT_EQ(scored.top_logprobs.front().token, best);
    }
    EXPECT_EQ(result->n_cached_tokens, n_cached == 0 ? 0 : first - 1) << first;
    n_cached = n_tokens - 1;
  }
}

TEST_F(ReadingTest, AnAnswerUsesWhatAReadingLeft) {
  Scheduler scheduler(session_, tokenizer_);
  ASSERT_TRUE(scheduler.read({.tokens = tokens_, .first_scored = 1})->wait(kLong));
  const AnswerRequest request = {tokens_, sampled(3, 8)};
  const WholeAnswer answer = test::collect(*scheduler.answer({request}), 1).front();
  EXPECT_EQ(answer.last.n_cached_tokens, static_cast<int64_t>(tokens_.size()) - 1);
  test::expect_equal(answer, alone(request), "after a reading");
}

// Observes one pass over everything: the definition of the mean.
class LastHidden : public Observer {
 public:
  void hidden_state(int64_t hidden_idx, std::span<const float> values) override {
    if (hidden_idx >= last_idx) last = {values.begin(), values.end()};
    last_idx = std::max(last_idx, hidden_idx);
  }
  int64_t last_idx = 0;
  std::vector<float> last;
};

TEST_F(ReadingTest, TheMeanIsThatOfTheLastHiddenStates) {
  LastHidden observer;
  PromptCache cache(model_);
  const BatchItem item = {tokens_, &cache, LogitsFor::kNone};
  session_.forward({&item, 1}, {{}, {}, &observer});
  Scheduler scheduler(session_, tokenizer_, {.prefill_step_size = 13});
  for (int round = 0; round < 2; ++round) {
    const auto result = scheduler.read({.tokens = tokens_, .wants_hidden = true})->wait(kLong);
    ASSERT_TRUE(result);
    const auto n_embd = static_cast<std::size_t>(model_.args().n_embd);
    ASSERT_EQ(result->mean_hidden.size(), n_embd);
    EXPECT_EQ(result->n_cached_tokens, 0);
    for (std::size_t col_idx = 0; col_idx < n_embd; ++col_idx) {
      double sum = 0;
      for (std::size_t row_idx = 0; row_idx < tokens_.size(); ++row_idx)
        sum += observer.last[row_idx * n_embd + col_idx];
      EXPECT_EQ(result->mean_hidden[col_idx], static_cast<float>(sum / static_cast<double>(tokens_.size())));
    }
  }
}

TEST_F(ReadingTest, OneTokenHasNoScoresAndAMean) {
  Scheduler scheduler(session_, tokenizer_);
  const auto result = scheduler.read({.tokens = {5}, .first_scored = 1, .wants_hidden = true})->wait(kLong);
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->scored.empty());
  EXPECT_EQ(static_cast<int64_t>(result->mean_hidden.size()), model_.args().n_embd);
  ASSERT_TRUE(scheduler.read({.tokens = {5}, .first_scored = 1})->wait(kLong));
}

TEST_F(ReadingTest, FieldsOutOfRangeAreRefused) {
  Scheduler scheduler(session_, tokenizer_);
  test::expect_error(ErrorCode::kInvalidArgument, "first_scored: expected 0 to 1, got 2",
                     [&] { scheduler.read({.tokens = {5}, .first_scored = 2}); });
  test::expect_error(ErrorCode::kInvalidArgument, "top_logprobs",
                     [&] { scheduler.read({.tokens = {5}, .first_scored = 1, .top_logprobs = 40000}); });
  test::expect_error(ErrorCode::kInvalidArgument, "lens_top",
                     [&] { scheduler.read({.tokens = {5}, .lens_top = -1}); });
  test::expect_error(ErrorCode::kInvalidArgument, "attention_of: expected 0 to 0, got 1",
                     [&] { scheduler.read({.tokens = {5}, .attention_of = 1}); });
}

TEST_F(ReadingTest, CanceledReadingsAreDropped) {
  test::Gate gate(0);
  Scheduler scheduler(session_, tokenizer_);
  const auto running = test::block(scheduler, gate, {tokens_, sampled(1, 2)});
  auto first = scheduler.read({.tokens = tokens_, .first_scored = 1});
  auto second = scheduler.read({.tokens = tokens_, .first_scored = 1});
  const auto third = scheduler.read({.tokens = tokens_, .first_scored = 1});
  EXPECT_EQ(scheduler.stats().n_waiting, 3);
  second.reset();
  EXPECT_EQ(scheduler.stats().n_waiting, 2);
  first.reset();
  gate.open();
  EXPECT_TRUE(third->wait(kLong));
}

}  // namespace
}  // namespace lille
