#include "lille/generate.h"

#include <nlohmann/json.hpp>
#include <thread>

#include "model/golden.h"

namespace lille {
namespace {

std::vector<int32_t> take_all(GenerateStep steps) {
  std::vector<int32_t> tokens;
  while (const auto step = steps.next()) tokens.push_back(step->token);
  return tokens;
}

class Toy : public testing::Test {
 protected:
  Model model_ = test::load_model(test::source_path("tests/golden/mlx/toy"));
  Session session_{model_, {1, ""}};
  std::vector<int32_t> prompt_ = {5, 17, 300, 2};
};

TEST_F(Toy, GreedyEqualsRereadingEverythingEachTime) {
  GenerateStepOptions options;
  options.max_tokens = 20;
  const std::vector<int32_t> tokens = take_all(GenerateStep(session_, prompt_, std::move(options)));
  ASSERT_EQ(tokens.size(), 20u);
  std::vector<int32_t> ids = prompt_;
  for (const int32_t token : tokens) {
    const std::vector<float> logits = test::all_logits(session_, ids);
    const auto last = std::span(logits).last(512);
    EXPECT_EQ(token, std::ranges::max_element(last) - last.begin());
    ids.push_back(token);
  }
}

TEST_F(Toy, PrefillStepsDoNotMatter) {
  std::vector<int32_t> prompt;
  for (int32_t id = 0; id < 30; ++id) prompt.push_back(id * 7 % 512);
  std::vector<std::vector<int32_t>> answers;
  for (const int64_t step : {1, 4, 13, 30, 512}) {
    GenerateStepOptions options;
    options.max_tokens = 10;
    options.prefill_step_size = step;
    answers.push_back(take_all(GenerateStep(session_, prompt, std::move(options))));
  }
  for (const auto& answer : answers) EXPECT_EQ(answer, answers.front());
}

TEST_F(Toy, LogprobsAddUpToOne) {
  GenerateStep steps(session_, prompt_, {});
  const auto step = steps.next();
  ASSERT_TRUE(step);
  double sum = 0;
  for (const float logprob : step->logprobs) sum += std::exp(double{logprob});
  EXPECT_NEAR(sum, 1, 1e-5);
}

TEST_F(Toy, ProcessorsSeeThePromptAndWhatFollows) {
  std::vector<std::size_t> lengths;
  GenerateStepOptions options;
  options.max_tokens = 3;
  options.logits_processors.add(make_processor([&](std::span<const int32_t> tokens, std::span<float> logits) {
    lengths.push_back(tokens.size());
    logits[77] = 1e6F;
  }));
  EXPECT_EQ(take_all(GenerateStep(session_, prompt_, std::move(options))),
            (std::vector<int32_t>{77, 77, 77}));
  EXPECT_EQ(lengths, (std::vector<std::size_t>{4, 5, 6}));
}

TEST_F(Toy, MaxTokensZeroGivesNothing) {
  GenerateStepOptions options;
  options.max_tokens = 0;
  EXPECT_TRUE(take_all(GenerateStep(session_, prompt_, std::move(options))).empty());
}

TEST_F(Toy, EndsAtTheEndOfTheContext) {
  GenerateStepOptions options;
  options.max_tokens = 1000;
  // 64 positions: 4 of the prompt, and each token but the last is read again.
  EXPECT_EQ(take_all(GenerateStep(session_, prompt_, std::move(options))).size(), 64u - 4 + 1);
  const std::vector<int32_t> whole_context(64, 3);
  EXPECT_EQ(take_all(GenerateStep(session_, whole_context, {})).size(), 1u);
}

TEST_F(Toy, BadPromptsAndOptions) {
  const auto refused = [&](std::string_view part, std::vector<int32_t> prompt, GenerateStepOptions options) {
    test::expect_error(ErrorCode::kInvalidArgument, part,
                       [&] { GenerateStep(session_, prompt, std::move(options)); });
  };
  refused("expected at least one token", {}, {});
  refused("65 tokens are more than the context of 64", std::vector<int32_t>(65, 1), {});
  refused("expected token ids from 0 to 511, got 512", {1, 512}, {});
  refused("expected token ids from 0 to 511, got -1", {-1}, {});
  GenerateStepOptions negative;
  negative.max_tokens = -1;
  refused("max_tokens: expected 0 or more, got -1", {1}, std::move(negative));
  GenerateStepOptions no_step;
  no_step.prefill_step_size = 0;
  refused("prefill_step_size: expected 1 or more, got 0", {1}, std::move(no_step));
}

TEST_F(Toy, APromptCacheGoesOn) {
  GenerateStepOptions whole;
  whole.max_tokens = 8;
  const std::vector<int32_t> wanted = take_all(GenerateStep(session_, prompt_, std::move(whole)));
  PromptCache cache = make_prompt_cache(model_);
  const BatchItem first = {std::span(prompt_).first(2), &cache, LogitsFor::kNone};
  session_.forward(std::span(&first, 1));
  GenerateStepOptions rest;
  rest.max_tokens = 8;
  rest.prompt_cache = &cache;
  EXPECT_EQ(take_all(GenerateStep(session_, std::span(prompt_).subspan(2), std::move(rest))), wanted);
  EXPECT_EQ(cache.offset(), 4 + 7);
}

TEST_F(Toy, TwoAnswersInTurnsOnOneCacheAreRefused) {
  PromptCache cache = make_prompt_cache(model_);
  const auto lookup = make_lookup_drafter(1);
  for (Drafter* drafter : {static_cast<Drafter*>(nullptr), lookup.get()}) {
    cache.trim(cache.offset());
    GenerateStepOptions options;
    options.prompt_cache = &cache;
    options.drafter = drafter;
    GenerateStep first(session_, prompt_, options);
    ASSERT_TRUE(first.next());
    GenerateStep second(session_, prompt_, options);
    ASSERT_TRUE(second.next()) << "it follows what the first one read";
    test::expect_error(ErrorCode::kInvalidArgument, "prompt_cache: expected the 4 tokens", [&] {
      while (first.next()) {
      }
    });
    ASSERT_TRUE(second.next()) << "what was refused read nothing";
    test::expect_error(ErrorCode::kInvalidArgument, "prompt_cache: expected the 4 tokens",
                       [&] { first.next(); });
  }
}

TEST_F(Toy, CancelStopsIt) {
  std::stop_source source;
  GenerateStepOptions options;
  options.cancel = source.get_token();
  GenerateStep steps(session_, prompt_, std::move(options));
  EXPECT_TRUE(steps.next());
  source.request_stop();
  test::expect_error(ErrorCode::kCanceled, "canceled", [&] { steps.next(); });
}

TEST_F(Toy, PromptProgressIsReported) {
  std::vector<std::pair<int64_t, int64_t>> calls;
  GenerateStepOptions options;
  options.max_tokens = 3;
  options.prefill_step_size = 3;
  options.prompt_progress_callback = [&](int64_t n_processed, int64_t n_prompt) {
    calls.emplace_back(n_processed, n_prompt);
  };
  take_all(GenerateStep(session_, prompt_, std::move(options)));
  EXPECT_EQ(calls, (std::vector<std::pair<int64_t, int64_t>>{{3, 4}, {4, 4}}));
}

class Tiny : public testing::Test {
 protected:
  Model model_ = test::load_model(test::source_path("models/lille-tiny-8bit"));
  Tokenizer tokenizer_ = Tokenizer::load(test::source_path("models/lille-tiny-8bit"));

  std::vector<int32_t> prompt(std::string_view text) const {
    std::vector<int32_t> ids = tokenizer_.encode(text);
    ids.insert(ids.begin(), tokenizer_.bos_token_id());
    return ids;
  }
  StreamOptions sampled(uint64_t seed, int64_t max_tokens) const {
    StreamOptions options;
    options.sampler = make_sampler({.temperature = 0.8F, .top_p = 0.9F}, model_.args().vocab_size);
    options.seed = seed;
    options.max_tokens = max_tokens;
    return options;
  }
};

TEST_F(Tiny, SameSeedSameTextWhateverTheThreads) {
  std::vector<std::string> texts;
  for (const int64_t n_threads : {1, 2, 7, 1}) {
    Session session(model_, {n_threads, ""});
    texts.push_back(generate(session, tokenizer_, prompt("Once upon a time"), sampled(11, 30)));
  }
  for (const std::string& text : texts) EXPECT_EQ(text, texts.front());
  Session session(model_);
  EXPECT_NE(generate(session, tokenizer_, prompt("Once upon a time"), sampled(12, 30)), texts.front());
}

TEST_F(Tiny, StreamedPiecesAreTheDecodedTokens) {
  Session session(model_);
  StreamGenerate stream(session, tokenizer_, prompt("The river"), sampled(3, 40));
  std::string text;
  std::vector<int32_t> tokens;
  int64_t n_responses = 0;
  std::optional<FinishReason> reason;
  while (const auto response = stream.next()) {
    EXPECT_FALSE(reason) << "nothing follows the finish reason";
    text += response->text;
    if (response->token) tokens.push_back(*response->token);
    EXPECT_EQ(response->generation_tokens, ++n_responses);
    reason = response->finish_reason;
  }
  ASSERT_TRUE(reason);
  if (*reason == FinishReason::kStop) tokens.pop_back();
  EXPECT_EQ(text, tokenizer_.decode(tokens));
}

TEST_F(Tiny, BothStopTokensEndAnAnswer) {
  Session session(model_);
  for (const int32_t stop_id : {tokenizer_.eos_token_id(), tokenizer_.user_token_id()}) {
    GenerateStepOptions options;
    options.logits_processors.add(
        make_processor([stop_id](std::span<const int32_t> tokens, std::span<float> logits) {
          if (tokens.size() >= 6) logits[static_cast<std::size_t>(stop_id)] = 1e6F;
        }));
    const std::vector<int32_t> ids = prompt("Hello there");
    StreamGenerate stream(session, tokenizer_, ids, std::move(options));
    GenerationResponse last;
    std::string text;
    while (auto response = stream.next()) {
      text += response->text;
      last = std::move(*response);
    }
    EXPECT_EQ(last.finish_reason, FinishReason::kStop);
    EXPECT_EQ(last.token, stop_id);
    EXPECT_EQ(text.find("<|"), std::string::npos) << "the end token is no text";
  }
}

TEST_F(Tiny, MaxTokensZeroEndsByLengthWithoutAToken) {
  Session session(model_);
  StreamGenerate stream(session, tokenizer_, prompt("x"), sampled(1, 0));
  const auto response = stream.next();
  ASSERT_TRUE(response);
  EXPECT_FALSE(response->token);
  EXPECT_EQ(response->finish_reason, FinishReason::kLength);
  EXPECT_EQ(response->generation_tokens, 0);
  EXPECT_FALSE(stream.next());
}

TEST_F(Tiny, AVocabularyThatIsNotTheModelsIsRefused) {
  Session session(test::load_model(test::source_path("tests/golden/mlx/toy")));
  const std::vector<int32_t> ids = {1};
  test::expect_error(ErrorCode::kInvalidArgument, "the tokenizer has 32768 tokens and the model 512",
                     [&] { StreamGenerate(session, tokenizer_, ids, {}); });
}

TEST_F(Tiny, StopStringsEndTheWholeAnswerAndItsStream) {
  Session session(model_);
  const std::string whole = generate(session, tokenizer_, prompt("Once upon a time"), sampled(5, 60));
  // Each begins inside a word, so inside a token too.
  for (const std::size_t begin : {std::size_t{3}, whole.size() / 3, whole.size() / 2, whole.size() - 9}) {
    StreamOptions options = sampled(5, 60);
    options.stop = {"no such text", whole.substr(begin, 5)};
    const std::size_t n_shown = whole.find(options.stop[1]);
    StreamGenerate stream(session, tokenizer_, prompt("Once upon a time"), options);
    std::string text;
    GenerationResponse last;
    while (auto response = stream.next()) {
      text += response->text;
      last = std::move(*response);
    }
    EXPECT_EQ(text, whole.substr(0, n_shown));
    EXPECT_EQ(last.stop, options.stop[1]);
    EXPECT_EQ(last.finish_reason, FinishReason::kStop);
    EXPECT_EQ(generate(session, tokenizer_, prompt("Once upon a time"), options), text);
  }
}

TEST_F(Tiny, LogprobsAreThoseBeforeTheFilters) {
  Session session(model_);
  StreamOptions options = sampled(5, 12);
  options.top_logprobs = 3;
  StreamGenerate stream(session, tokenizer_, prompt("Once upon a time"), options);
  int n_lower = 0;
  while (const auto response = stream.next()) {
    EXPECT_EQ(response->logprob, response->logprobs[static_cast<std::size_t>(*response->token)]);
    ASSERT_EQ(response->top_logprobs.size(), 3u);
    EXPECT_EQ(response->top_logprobs[0].logprob, *std::ranges::max_element(response->logprobs));
    EXPECT_GE(response->top_logprobs[0].logprob, response->logprob);
    n_lower += response->top_logprobs[0].logprob > response->logprob;
    double sum = 0;
    for (const float logprob : response->logprobs) sum += std::exp(double{logprob});
    EXPECT_NEAR(sum, 1, 1e-4);
  }
  EXPECT_GT(n_lower, 0);
}

TEST_F(Tiny, OverflowIsReportedAndEqualsTheShorterPrompt) {
  Session session(model_);
  std::vector<int32_t> ids = prompt("");
  while (ids.size() < 600) ids.push_back(static_cast<int32_t>(ids.size() * 31 % 5000));
  test::expect_error(ErrorCode::kInvalidArgument,
                     "prompt: 600 tokens are more than the context of 512 tokens (block_size)",
                     [&] { StreamGenerate(session, tokenizer_, ids, sampled(1, 4)); });
  StreamOptions options = sampled(1, 4);
  options.overflow = Overflow::kTruncateLeft;
  StreamGenerate stream(session, tokenizer_, ids, options);
  std::string text;
  GenerationResponse last;
  while (auto response = stream.next()) {
    text += response->text;
    last = std::move(*response);
  }
  EXPECT_EQ(last.prompt_tokens, 509);
  EXPECT_EQ(last.n_dropped_tokens, 91);
  EXPECT_EQ(last.generation_tokens, 4) << "there is room for all of them";
  std::vector<int32_t> shorter(ids.end() - 508, ids.end());
  shorter.insert(shorter.begin(), ids.front());
  EXPECT_EQ(generate(session, tokenizer_, shorter, sampled(1, 4)), text);
}

TEST_F(Tiny, APromptAfterACacheIsNotCut) {
  Session session(model_);
  PromptCache cache(model_);
  const std::vector<int32_t> ids(600, 5);
  const BatchItem first = {std::span(ids).first(2), &cache, LogitsFor::kNone};
  session.forward(std::span(&first, 1));
  StreamOptions options = sampled(1, 4);
  options.overflow = Overflow::kTruncateLeft;
  options.prompt_cache = &cache;
  test::expect_error(ErrorCode::kInvalidArgument, "600 tokens after 2 in the cache",
                     [&] { StreamGenerate(session, tokenizer_, ids, options); });
}

TEST_F(Tiny, TheEndOfTheContextEndsAnAnswerThatNeverStops) {
  Session session(model_);
  std::vector<int32_t> ids(500, 5);
  StreamOptions options;
  options.max_tokens = 1'000'000'000;
  options.logits_processors.add(
      make_processor([](std::span<const int32_t>, std::span<float> logits) { logits[77] = 1e6F; }));
  StreamGenerate stream(session, tokenizer_, ids, options);
  GenerationResponse last;
  while (auto response = stream.next()) last = std::move(*response);
  EXPECT_EQ(last.finish_reason, FinishReason::kLength);
  EXPECT_EQ(last.generation_tokens, 512 - 500 + 1);
}

TEST_F(Tiny, LogitsThatAreNoNumbersEndThatRequestOnly) {
  Session session(model_);
  const std::string wanted = generate(session, tokenizer_, prompt("The river"), sampled(2, 8));
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {-infinity, std::numeric_limits<float>::quiet_NaN(), infinity}) {
    for (const bool is_greedy : {true, false}) {
      StreamOptions options = sampled(2, 8);
      if (is_greedy) options.sampler = std::nullopt;
      options.logits_processors.add(
          make_processor([bad](std::span<const int32_t> tokens, std::span<float> logits) {
            if (tokens.size() > 5) std::ranges::fill(logits, bad);
          }));
      const std::string part =
          bad == -infinity ? "expected one token above -inf" : "expected numbers below +inf";
      test::expect_error(ErrorCode::kInvalidArgument, part,
                         [&] { generate(session, tokenizer_, prompt("The river"), options); });
      EXPECT_EQ(generate(session, tokenizer_, prompt("The river"), sampled(2, 8)), wanted);
    }
  }
}

TEST_F(Tiny, ABiasThatExcludesEveryTokenIsAnError) {
  Session session(model_);
  LogitsProcessorOptions all;
  for (int32_t id = 0; id < model_.args().vocab_size; ++id)
    all.logit_bias[id] = -std::numeric_limits<float>::infinity();
  StreamOptions options;
  options.logits_processors = make_logits_processors(all, model_.args().vocab_size);
  test::expect_error(ErrorCode::kInvalidArgument, "expected one token above -inf",
                     [&] { generate(session, tokenizer_, prompt("The river"), options); });
}

// Greedy continuations of PyTorch and MLX; where the first two logits are nearer than 1e-3, programs may
// part.
TEST(Golden, GreedyContinuationsOfTheTrainedCheckpoints) {
  LILLE_NEED_SHARED();
  const nlohmann::json golden =
      nlohmann::json::parse(test::read_file(test::shared_path("checkpoints/expected.json")));
  int64_t n_tokens = 0;
  for (const auto& [name, cases] : golden.at("greedy").items()) {
    const auto layout = name == "lille-tiny-original" ? RopeLayout::kOriginal : RopeLayout::kInterleaved;
    const Model model = test::load_model(test::shared_path("checkpoints") / name, layout);
    Session session(model, {.exact = true});
    for (const nlohmann::json& run : cases) {
      const auto tokens = run.at("tokens").get<std::vector<int32_t>>();
      const auto margins = run.at("margins").get<std::vector<double>>();
      GenerateStepOptions options;
      options.max_tokens = static_cast<int64_t>(tokens.size());
      const std::vector<int32_t> ours =
          take_all(GenerateStep(session, run.at("ids").get<std::vector<int32_t>>(), std::move(options)));
      for (std::size_t idx = 0; idx < tokens.size() && margins[idx] > 1e-3; ++idx, ++n_tokens)
        ASSERT_EQ(ours[idx], tokens[idx]) << name << " after " << run.at("prompt") << ", token " << idx;
    }
  }
  RecordProperty("tokens_compared", std::to_string(n_tokens));
  EXPECT_GT(n_tokens, 900) << "of 27 x 48, those before the first narrow margin";
}

}  // namespace
}  // namespace lille
