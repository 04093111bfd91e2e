#include "lille/draft.h"

#include "lille/generate.h"
#include "model/golden.h"

namespace lille {
namespace {

using Ids = std::vector<int32_t>;

const Sampler& greedy_sampler() {
  static const Sampler sampler = make_sampler({}, 512);
  return sampler;
}

Ids draft(Drafter& drafter, const Ids& tokens, int64_t n_tokens) {
  return drafter.draft({tokens, n_tokens, greedy_sampler(), RandomState(0), {}});
}

Ids lookup_draft(const Ids& tokens, int64_t n_tokens, int64_t min_ngram = 2) {
  return draft(*make_lookup_drafter(min_ngram), tokens, n_tokens);
}

TEST(Lookup, DraftsWhatFollowedTheLastTokensBefore) {
  EXPECT_EQ(lookup_draft({1, 2, 3, 9, 8, 1, 2, 3}, 2), (Ids{9, 8}));
  EXPECT_EQ(lookup_draft({1, 2, 3, 9, 8, 1, 2, 3}, 1), (Ids{9}));
}

TEST(Lookup, TheLongestPlaceWins) {
  EXPECT_EQ(lookup_draft({4, 1, 2, 7, 0, 0, 1, 2, 8, 5, 4, 1, 2}, 1), (Ids{7})) << "4 1 2 before 1 2";
}

TEST(Lookup, OfEqualPlacesTheLatest) { EXPECT_EQ(lookup_draft({1, 2, 7, 0, 1, 2, 8, 5, 1, 2}, 1), (Ids{8})); }

TEST(Lookup, ARepetitionGoesOn) {
  EXPECT_EQ(lookup_draft({5, 6, 7, 5, 6, 7, 5}, 7), (Ids{6, 7, 5, 6, 7, 5, 6}));
  EXPECT_EQ(lookup_draft({3, 3, 3}, 4), (Ids{3, 3, 3, 3}));
}

TEST(Lookup, WithoutSuchAPlaceThereIsNothing) {
  EXPECT_EQ(lookup_draft({1}, 4), Ids{});
  EXPECT_EQ(lookup_draft({1, 2, 3, 4, 5}, 4), Ids{});
  EXPECT_EQ(lookup_draft({1, 2, 9, 2}, 4), Ids{}) << "one token alone says too little";
  EXPECT_EQ(lookup_draft({1, 2, 9, 2}, 2, 1), (Ids{9, 2}));
  EXPECT_EQ(lookup_draft({1, 2, 3, 0, 1, 2, 3}, 1, 4), Ids{});
}

TEST(Lookup, AnNgramHasAToken) {
  test::expect_error(ErrorCode::kInvalidArgument, "min_ngram: expected 1 or more, got 0",
                     [] { make_lookup_drafter(0); });
}

class ModelDraft : public testing::Test {
 protected:
  Ids generate(const Ids& prompt, GenerateStepOptions options) {
    Ids tokens;
    GenerateStep steps(session_, prompt, std::move(options));
    while (const auto step = steps.next()) tokens.push_back(step->token);
    return tokens;
  }
  Ids generate(const Ids& prompt, int64_t n_tokens) {
    GenerateStepOptions options;
    options.max_tokens = n_tokens;
    return generate(prompt, std::move(options));
  }

  Model model_ = test::load_model(test::source_path("tests/golden/mlx/toy"));
  Session session_{model_, {1, ""}};
  Session draft_session_{model_, {1, ""}};
  std::unique_ptr<Drafter> drafter_ = make_model_drafter(draft_session_, model_);
  Ids prompt_ = {5, 17, 300, 2};
};

TEST_F(ModelDraft, DraftsWhatTheModelGenerates) {
  EXPECT_EQ(draft(*drafter_, prompt_, 6), generate(prompt_, 6));
  Ids longer = prompt_;
  for (const int32_t token : generate(prompt_, 3)) longer.push_back(token);
  EXPECT_EQ(draft(*drafter_, longer, 4), generate(longer, 4));
}

TEST_F(ModelDraft, ItsCacheFollowsWhateverTheTokensAre) {
  for (const Ids& tokens : {Ids{5, 17, 300, 2}, Ids{5, 17, 300, 2, 8}, Ids{5, 17, 9}, Ids{1}, Ids{5, 17, 9},
                            Ids{5, 17, 9, 400, 3, 2, 1}})
    EXPECT_EQ(draft(*drafter_, tokens, 5), generate(tokens, 5));
}

TEST_F(ModelDraft, DrawsWithTheRandomNumbersOfTheSequence) {
  const Sampler sampler = make_sampler({.temperature = 1, .top_p = 0.9F, .xtc_probability = 0.2F}, 512);
  for (uint64_t seed = 0; seed < 5; ++seed) {
    GenerateStepOptions options;
    options.max_tokens = 6;
    options.sampler = sampler;
    options.seed = seed;
    EXPECT_EQ(drafter_->draft({prompt_, 6, sampler, RandomState(seed), {}}), generate(prompt_, options));
  }
}

// 64 positions: a token that is only drawn needs none.
TEST_F(ModelDraft, EndsWithItsOwnContext) {
  const Ids tokens(62, 7);
  EXPECT_EQ(draft(*drafter_, tokens, 9).size(), 3U);
  EXPECT_EQ(draft(*drafter_, Ids(64, 7), 9).size(), 1U);
  EXPECT_EQ(draft(*drafter_, Ids(65, 7), 9), Ids{});
  EXPECT_EQ(draft(*drafter_, Ids(300, 7), 9), Ids{});
  EXPECT_EQ(draft(*drafter_, tokens, 3), generate(tokens, 3));
}

TEST_F(ModelDraft, CancelStopsIt) {
  std::stop_source source;
  source.request_stop();
  test::expect_error(ErrorCode::kCanceled, "canceled", [&] {
    drafter_->draft({prompt_, 2, greedy_sampler(), RandomState(0), source.get_token()});
  });
  EXPECT_EQ(draft(*drafter_, prompt_, 6), generate(prompt_, 6)) << "afterwards it goes on";
}

TEST_F(ModelDraft, AnotherVocabularyIsRefused) {
  Session tiny(test::load_model(test::source_path("models/lille-tiny-8bit")), {1, ""});
  test::expect_error(
      ErrorCode::kInvalidArgument,
      "draft_model: expected a vocabulary of 512 tokens (vocab_size), as the model has, got 32768",
      [&] { make_model_drafter(tiny, model_); });
}

TEST(DraftStats, RateOfNothingIsZero) {
  EXPECT_EQ(DraftStats{}.acceptance_rate(), 0);
  EXPECT_EQ((DraftStats{3, 8, 2}.acceptance_rate()), 0.25);
}

}  // namespace
}  // namespace lille
