#include "lille/multiple_choice.h"

#include <numeric>

#include "model/golden.h"

namespace lille {
namespace {

const std::vector<ChoiceItem> kItems = {
    {"The sun rises in the", {"east.", "kitchen, and then it went home", "of"}, 0},
    {"Once upon a time there was a little", {"girl", "the", "of it"}, 0},
    {"Two and two are ", {"four", "blue"}, 1},
    {"", {"The cat sat on the mat.", "Mat the on sat cat the."}, 0},
    {"Question: Which one is it?\nAnswer:", {"na\u00efve caf\u00e9 \U0001F389", "yes"}, 1}};

class MultipleChoice : public testing::Test {
 protected:
  // Sum of log p of the continuation, in float64 from the logits of one pass over everything that is read.
  double log_likelihood(std::vector<int32_t> ids, std::size_t n_continuation) {
    const std::vector<int32_t> targets(ids.end() - static_cast<std::ptrdiff_t>(n_continuation), ids.end());
    ids.pop_back();
    const auto block_size = static_cast<std::size_t>(model_.args().block_size);
    if (ids.size() > block_size) ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(block_size));
    const std::vector<float> logits = test::all_logits(session_, ids);
    const auto vocab_size = static_cast<std::size_t>(model_.args().vocab_size);
    double sum = 0;
    for (std::size_t idx = 0; idx < n_continuation; ++idx) {
      const auto row =
          std::span(logits).subspan((ids.size() - n_continuation + idx) * vocab_size, vocab_size);
      double total = 0;
      for (const float logit : row) total += std::exp(double{logit});
      sum += double{row[static_cast<std::size_t>(targets[idx])]} - std::log(total);
    }
    return sum;
  }

  void expect_scores_of_logits(const std::vector<ChoiceItem>& items, bool bos) {
    ChoiceOptions options;
    options.bos = bos;
    const ChoiceResult result = score_choices(session_, tokenizer_, items, options);
    ASSERT_EQ(result.items.size(), items.size());
    for (std::size_t idx = 0; idx < items.size(); ++idx)
      for (std::size_t choice_idx = 0; choice_idx < items[idx].choices.size(); ++choice_idx) {
        const ChoiceScore& score = result.items[idx].choices[choice_idx];
        const EncodedContinuation encoded =
            encode_continuation(tokenizer_, items[idx].context, " " + items[idx].choices[choice_idx], bos);
        std::vector<int32_t> ids = encoded.context;
        ids.insert(ids.end(), encoded.continuation.begin(), encoded.continuation.end());
        EXPECT_EQ(score.n_tokens, static_cast<int64_t>(encoded.continuation.size()));
        const double wanted = log_likelihood(ids, encoded.continuation.size());
        EXPECT_NEAR(score.log_likelihood, wanted, 1e-6 * std::fabs(wanted)) << idx << ", " << choice_idx;
      }
  }

  Model model_ = test::load_model(test::source_path("models/lille-tiny-8bit"));
  Tokenizer tokenizer_ = Tokenizer::load(test::source_path("models/lille-tiny-8bit"));
  Session session_{model_, {.n_threads = 2, .exact = true}};
};

TEST_F(MultipleChoice, ScoresAreThoseOfTheLogits) {
  expect_scores_of_logits(kItems, false);
  expect_scores_of_logits(kItems, true);
}

// The beginning of a context goes where it does not fit, for each choice as much as it needs.
TEST_F(MultipleChoice, AContextThatDoesNotFitLosesItsBeginning) {
  std::string context;
  for (int word = 0; word < 508; ++word)
    context += word % 3 == 0 ? " the" : word % 3 == 1 ? " river" : " runs";
  const std::vector<ChoiceItem> items = {
      {context, {"fast.", "slowly to the sea, and then it ends there", "of"}, 0},
      {context + context, {"fast", "now"}, 0}};
  const ChoiceResult result = score_choices(session_, tokenizer_, items);
  EXPECT_FALSE(result.items[0].choices[0].is_cut);
  EXPECT_TRUE(result.items[0].choices[1].is_cut);
  EXPECT_FALSE(result.items[0].choices[2].is_cut);
  EXPECT_EQ(result.n_cut, 3);
  expect_scores_of_logits(items, false);
}

TEST_F(MultipleChoice, TheLikeliestIsChosenAsItIsAndByTheCharacter) {
  const ChoiceResult result = score_choices(session_, tokenizer_, kItems);
  std::vector<double> acc;
  std::vector<double> acc_norm;
  int64_t n_tokens = 0;
  for (std::size_t idx = 0; idx < kItems.size(); ++idx) {
    const ItemScore& score = result.items[idx];
    EXPECT_EQ(score.answer, kItems[idx].answer);
    std::size_t best = 0;
    std::size_t best_norm = 0;
    const auto norm = [&](std::size_t choice) {
      return score.choices[choice].log_likelihood / static_cast<double>(score.choices[choice].n_characters);
    };
    for (std::size_t choice = 0; choice < score.choices.size(); ++choice) {
      if (score.choices[choice].log_likelihood > score.choices[best].log_likelihood) best = choice;
      if (norm(choice) > norm(best_norm)) best_norm = choice;
      n_tokens += score.choices[choice].n_tokens;
    }
    EXPECT_EQ(score.likeliest, static_cast<int64_t>(best));
    EXPECT_EQ(score.likeliest_norm, static_cast<int64_t>(best_norm));
    acc.push_back(score.likeliest == score.answer ? 1 : 0);
    acc_norm.push_back(score.likeliest_norm == score.answer ? 1 : 0);
  }
  EXPECT_EQ(result.n_tokens, n_tokens);
  EXPECT_NE(acc, acc_norm) << "questions on which the two agree tell nothing";
  // Mean, and Python's statistics.stdev(values) / sqrt(len(values)).
  for (const auto& [values, accuracy] : {std::pair(acc, result.acc), std::pair(acc_norm, result.acc_norm)}) {
    const auto n = static_cast<double>(values.size());
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
    double squares = 0;
    for (const double value : values) squares += (value - mean) * (value - mean);
    EXPECT_DOUBLE_EQ(accuracy.value, mean);
    EXPECT_NEAR(accuracy.standard_error, std::sqrt(squares / (n - 1)) / std::sqrt(n), 1e-12);
  }
}

TEST_F(MultipleChoice, LengthsAreThoseOfTheChoiceAlone) {
  const ChoiceScore score = score_choices(session_, tokenizer_, kItems).items[4].choices[0];
  EXPECT_EQ(score.n_characters, 12);
  EXPECT_EQ(score.n_bytes, 17);
}

TEST_F(MultipleChoice, OfEqualChoicesTheFirstCounts) {
  const std::vector<ChoiceItem> items = {{"The sun", {"is", "is", "is"}, 1}};
  const ChoiceResult result = score_choices(session_, tokenizer_, items);
  EXPECT_EQ(result.items[0].likeliest, 0);
  EXPECT_EQ(result.items[0].likeliest_norm, 0);
  EXPECT_EQ(result.acc.value, 0);
  EXPECT_TRUE(std::isnan(result.acc.standard_error)) << "one item has no spread";
}

TEST_F(MultipleChoice, ReportsProgressAndObeysCancel) {
  std::vector<int64_t> calls;
  std::stop_source source;
  ChoiceOptions options;
  options.cancel = source.get_token();
  options.on_progress = [&](int64_t n_done, int64_t n_items) {
    EXPECT_EQ(n_items, 5);
    calls.push_back(n_done);
    if (n_done == 2) source.request_stop();
  };
  test::expect_error(ErrorCode::kCanceled, "canceled",
                     [&] { score_choices(session_, tokenizer_, kItems, options); });
  EXPECT_EQ(calls, (std::vector<int64_t>{1, 2}));
}

TEST_F(MultipleChoice, WhatIsNoQuestion) {
  const auto refused = [&](const std::vector<ChoiceItem>& items, std::string_view part) {
    test::expect_error(ErrorCode::kInvalidArgument, part,
                       [&] { score_choices(session_, tokenizer_, items); });
  };
  const ChoiceItem good = {"a", {"b", "c"}, 0};
  refused({}, "expected at least one item, got none");
  refused({good, {"a", {"b"}, 0}}, "item 2: expected at least two choices, got 1");
  refused({good, {"a", {"b", ""}, 0}}, "item 2: choices[1]: expected a text, got an empty one");
  refused({{"a", {"b", "c"}, 2}}, "item 1: expected an answer from 0 to 1, got 2");
  refused({{"a", {"b", "c"}, -1}}, "item 1: expected an answer from 0 to 1, got -1");
  std::string text;
  for (int word = 0; word < 513; ++word) text += "the ";
  refused({{"a", {"b", text}, 0}}, "item 1: choices[1]: expected at most 512 tokens");
}

class EncodeContinuation : public MultipleChoice {
 protected:
  std::vector<int32_t> ids(std::string_view text) const { return tokenizer_.encode(text); }
};

TEST_F(EncodeContinuation, IsWhatFollowsTheTokensOfTheContext) {
  const EncodedContinuation plain = encode_continuation(tokenizer_, "The cat", " sat down");
  EXPECT_EQ(plain.context, ids("The cat"));
  std::vector<int32_t> whole = plain.context;
  whole.insert(whole.end(), plain.continuation.begin(), plain.continuation.end());
  EXPECT_EQ(whole, ids("The cat sat down"));
  // Where a token reaches over the border, as many tokens as the context has are taken off.
  const EncodedContinuation merged = encode_continuation(tokenizer_, "The ca", "t sat");
  EXPECT_EQ(merged.context, ids("The ca"));
  const std::vector<int32_t> together = ids("The cat sat");
  EXPECT_EQ(merged.continuation, std::vector<int32_t>(together.begin() + 2, together.end()));
  EXPECT_TRUE(encode_continuation(tokenizer_, "The ca", "t").continuation.empty());
}

TEST_F(EncodeContinuation, TakesTheSpaceAtTheEndOfTheContext) {
  for (const char* space : {" ", "  ", "\n", "\t \n", "\u00a0", "\u3000 "}) {
    const EncodedContinuation encoded =
        encode_continuation(tokenizer_, std::string("The cat") + space, " sat");
    EXPECT_EQ(encoded.context, ids("The cat"));
    std::vector<int32_t> whole = encoded.context;
    whole.insert(whole.end(), encoded.continuation.begin(), encoded.continuation.end());
    EXPECT_EQ(whole, ids(std::string("The cat") + space + " sat"));
  }
}

TEST_F(EncodeContinuation, BeginsWithAToken) {
  const std::vector<int32_t> bos = {tokenizer_.bos_token_id()};
  EXPECT_EQ(encode_continuation(tokenizer_, "", " sat").context, bos);
  EXPECT_EQ(encode_continuation(tokenizer_, " \n", " sat").context, bos);
  EXPECT_EQ(encode_continuation(tokenizer_, "", " sat", true).context, bos);
  EXPECT_EQ(encode_continuation(tokenizer_, " \n", " sat").continuation, ids(" \n sat"));
  const EncodedContinuation cat = encode_continuation(tokenizer_, "The cat", " sat", true);
  EXPECT_EQ(cat.context.front(), bos.front());
  EXPECT_EQ(std::vector<int32_t>(cat.context.begin() + 1, cat.context.end()), ids("The cat"));
  EXPECT_EQ(cat.continuation, ids(" sat"));
}

}  // namespace
}  // namespace lille
