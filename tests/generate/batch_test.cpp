#include "lille/batch.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <stdexcept>
#include <thread>

#include "model/golden.h"

namespace lille {
namespace {

// An answer bit for bit; the speed is all that may differ.
struct Bits {
  std::string text;
  std::vector<TokenLogprob> tokens;
  std::vector<std::vector<TokenLogprob>> top_logprobs;
  std::optional<FinishReason> finish_reason;
  std::string stop;
  std::vector<int64_t> counts;

  explicit Bits(const WholeAnswer& answer)
      : text(answer.text),
        tokens(answer.tokens),
        top_logprobs(answer.top_logprobs),
        finish_reason(answer.last.finish_reason),
        stop(answer.last.stop),
        counts({answer.last.prompt_tokens, answer.last.n_dropped_tokens, answer.last.n_dropped_turns,
                answer.last.generation_tokens}) {}
};

bool are_equal(const std::vector<TokenLogprob>& left, const std::vector<TokenLogprob>& right) {
  return std::ranges::equal(left, right, [](const TokenLogprob& one, const TokenLogprob& other) {
    return one.token == other.token && one.logprob == other.logprob;
  });
}

void expect_equal(const WholeAnswer& batched, const WholeAnswer& alone, const std::string& what) {
  const Bits ours(batched);
  const Bits wanted(alone);
  EXPECT_EQ(ours.text, wanted.text) << what;
  EXPECT_TRUE(are_equal(ours.tokens, wanted.tokens)) << what;
  EXPECT_TRUE(std::ranges::equal(ours.top_logprobs, wanted.top_logprobs, are_equal)) << what;
  EXPECT_EQ(ours.finish_reason, wanted.finish_reason) << what;
  EXPECT_TRUE(ours.finish_reason) << what;
  EXPECT_EQ(ours.stop, wanted.stop) << what;
  EXPECT_EQ(ours.counts, wanted.counts) << what;
}

class Batch : public testing::Test {
 protected:
  Model model_ = test::load_model(test::source_path("models/lille-tiny-8bit"));
  Tokenizer tokenizer_ = Tokenizer::load(model_.path());
  Session session_{model_, {1, ""}};

  std::vector<int32_t> ids(std::string_view text) const {
    std::vector<int32_t> tokens = tokenizer_.encode(text);
    tokens.insert(tokens.begin(), tokenizer_.bos_token_id());
    return tokens;
  }

  StreamOptions sampled(uint64_t seed, int64_t max_tokens) const {
    StreamOptions options;
    options.sampler = make_sampler({.temperature = 0.9F, .top_p = 0.95F}, model_.args().vocab_size);
    options.seed = seed;
    options.max_tokens = max_tokens;
    return options;
  }

  // Nine prompts of odd lengths, each with options of its own.
  std::vector<BatchPrompt> prompts() const {
    std::vector<BatchPrompt> all = {
        {ids("Once upon a time"), sampled(1, 17)},      {ids("x"), sampled(2, 5)},
        {ids("The river, which was wide"), {}},         {ids("A glacier is"), sampled(4, 0)},
        {std::vector<int32_t>(131, 13), sampled(9, 9)}, {ids("In the beginning"), sampled(6, 23)},
        {ids("The cell is"), sampled(7, 30)},           {std::vector<int32_t>(600, 12), sampled(8, 3)},
        {std::vector<int32_t>(507, 11), sampled(5, 40)}};
    all[2].options.max_tokens = 11;
    all[2].options.top_logprobs = 4;
    all[4].options.prefill_step_size = 50;
    all[5].options.stop = {"no such text", "e", "\n"};
    all[6].options.logits_processors = make_logits_processors(
        {.logit_bias = {{262, 1.0F}}, .repetition_penalty = 1.3F, .presence_penalty = 0.5F},
        model_.args().vocab_size);
    all[6].options.top_logprobs = 1;
    all[7].options.overflow = Overflow::kTruncateLeft;
    return all;
  }

  WholeAnswer alone(BatchPrompt prompt) {
    StreamGenerate stream(session_, tokenizer_, prompt.tokens, std::move(prompt.options));
    WholeAnswer answer;
    while (std::optional<GenerationResponse> response = stream.next()) answer.add(std::move(*response));
    return answer;
  }

  // The first n_prompts of prompts(), batched, against one after the other; the latter are made once.
  void expect_own_runs(int64_t n_threads, int64_t size, std::size_t n_prompts) {
    if (own_runs_.empty())
      for (BatchPrompt& prompt : prompts()) own_runs_.push_back(alone(std::move(prompt)));
    ASSERT_EQ(own_runs_[8].last.generation_tokens, 512 - 507 + 1) << "one of them ends with the context";
    ASSERT_EQ(own_runs_[5].last.finish_reason, FinishReason::kStop) << "one of them has a stop string";
    std::vector<BatchPrompt> some = prompts();
    some.resize(n_prompts);
    Session session(model_, {n_threads, ""});
    const std::vector<BatchResult> results =
        batch_generate(session, tokenizer_, std::move(some),
                       {.completion_batch_size = size, .prefill_batch_size = 1 + size / 2});
    ASSERT_EQ(results.size(), n_prompts);
    for (std::size_t idx = 0; idx < n_prompts; ++idx) {
      ASSERT_FALSE(results[idx].error) << results[idx].error->what();
      expect_equal(results[idx].answer, own_runs_[idx],
                   fmt::format("prompt {} of {}, {} at once, {} threads", idx, n_prompts, size, n_threads));
    }
  }

  std::vector<WholeAnswer> own_runs_;

  static LogitsProcessors callable(std::function<void(std::span<const int32_t>, std::span<float>)> of) {
    LogitsProcessors processors;
    processors.add(make_processor(std::move(of)));
    return processors;
  }
};

TEST_F(Batch, EqualsEachPromptsOwnRunOnOneThread) {
  for (const int64_t size : {1, 2, 5, 9}) expect_own_runs(1, size, 9);
}

TEST_F(Batch, EqualsEachPromptsOwnRunOnThreeThreads) { expect_own_runs(3, 5, 9); }

TEST_F(Batch, EqualsEachPromptsOwnRunForAnySizeOfBatch) {
  for (const int64_t size : {1, 2, 9}) expect_own_runs(3, size, 9);
}

TEST_F(Batch, EqualsEachPromptsOwnRunForAnyNumberOfPrompts) {
  for (std::size_t n_prompts = 1; n_prompts < 9; ++n_prompts) expect_own_runs(3, 5, n_prompts);
}

TEST_F(Batch, NoPromptsNoResults) { EXPECT_TRUE(batch_generate(session_, tokenizer_, {}).empty()); }

TEST_F(Batch, APromptThatFailsDoesNotDisturbTheOthers) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<BatchPrompt> all = prompts();
  const std::vector<std::pair<std::size_t, std::string>> failing = {
      {0, "expected numbers below +inf"},
      {2, "a callable of this answer threw: no\\x0aidea"},
      {3, "threw no std::exception"},
      {4, "600 tokens are more than the context of 512"},
      {5, "stop: expected strings of at least one character"},
      {7, "expected at least one token"},
      {8, "canceled"}};
  all[0].options.logits_processors =
      callable([nan](std::span<const int32_t> tokens, std::span<float> logits) {
        if (tokens.size() > 8) std::ranges::fill(logits, nan);
      });
  all[2].options.logits_processors =
      callable([](std::span<const int32_t>, std::span<float>) { throw std::runtime_error("no\nidea"); });
  all[3].options.max_tokens = 2;
  all[3].options.logits_processors = callable([](std::span<const int32_t>, std::span<float>) { throw 1; });
  all[4].tokens.assign(600, 5);
  all[5].options.stop = {""};
  all[7].tokens.clear();
  std::stop_source gone;
  gone.request_stop();
  all[8].options.cancel = gone.get_token();
  std::vector<std::size_t> finished;
  const std::vector<BatchResult> results = batch_generate(
      session_, tokenizer_, std::move(all), {.completion_batch_size = 3},
      [&finished](std::size_t prompt_idx, const BatchResult&) { finished.push_back(prompt_idx); });
  for (const std::size_t idx : {std::size_t{1}, std::size_t{6}}) {
    ASSERT_FALSE(results[idx].error) << results[idx].error->what();
    expect_equal(results[idx].answer, alone(prompts()[idx]), "prompt " + std::to_string(idx));
  }
  for (const auto& [idx, part] : failing) {
    ASSERT_TRUE(results[idx].error) << idx;
    EXPECT_NE(std::string_view(results[idx].error->what()).find(part), std::string_view::npos)
        << results[idx].error->what();
  }
  EXPECT_EQ(results[8].error->code(), ErrorCode::kCanceled);
  EXPECT_GT(results[0].answer.tokens.size(), 0u) << "what there was before the error is kept";
  std::ranges::sort(finished);
  EXPECT_EQ(finished, (std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8})) << "each is told once";
}

// A pass with a cache of another model refuses all of its sequences; one by one the others run.
TEST_F(Batch, WhatFailsTogetherRunsOneByOne) {
  PromptCache narrow(model_, CacheType::kBF16);
  Model toy = test::load_model(test::source_path("tests/golden/mlx/toy"));
  PromptCache foreign(toy);
  std::vector<BatchPrompt> all = prompts();
  all.resize(3);
  all[1].options.prompt_cache = &narrow;
  all[2].options.prompt_cache = &foreign;
  const std::vector<BatchResult> results = batch_generate(session_, tokenizer_, std::move(all));
  PromptCache again(model_, CacheType::kBF16);
  BatchPrompt second = prompts()[1];
  second.options.prompt_cache = &again;
  ASSERT_FALSE(results[0].error);
  ASSERT_FALSE(results[1].error) << results[1].error->what();
  expect_equal(results[0].answer, alone(prompts()[0]), "first");
  expect_equal(results[1].answer, alone(second), "second");
  ASSERT_TRUE(results[2].error);
  EXPECT_NE(std::string_view(results[2].error->what()).find("this session's model"), std::string_view::npos);
}

// What each would be given alone, by sessions of every type.
TEST_F(Batch, EachSequenceHasTheTypeOfTheSession) {
  for (const CacheType type : {CacheType::kBF16, CacheType::kQ8_0}) {
    Session narrow(model_, {.n_threads = 2, .cache_type = type});
    std::vector<BatchPrompt> all = prompts();
    all.resize(2);
    PromptCache wide(model_);
    all[1].options.prompt_cache = &wide;
    const std::vector<BatchResult> results = batch_generate(narrow, tokenizer_, std::move(all));
    PromptCache cache(model_, type);
    BatchPrompt first = prompts()[0];
    first.options.prompt_cache = &cache;
    expect_equal(results[0].answer, alone(first), std::string(cache_type_name(type)));
    expect_equal(results[1].answer, alone(prompts()[1]), "of a caller's own type");
  }
}

TEST_F(Batch, ACacheForTwoPromptsIsRefused) {
  PromptCache cache(model_);
  BatchGenerator generator(session_, tokenizer_);
  StreamOptions options = sampled(1, 2);
  options.prompt_cache = &cache;
  generator.insert(ids("a"), options);
  test::expect_error(ErrorCode::kInvalidArgument, "prompt_cache: expected one for each prompt",
                     [&] { generator.insert(ids("b"), options); });
  while (generator.n_sequences() > 0) generator.next();
  generator.insert(ids("b"), options);
}

TEST_F(Batch, ACacheThatSomebodyElseChangesEndsItsAnswerAlone) {
  PromptCache cache(model_);
  BatchPrompt first = prompts()[0];
  BatchPrompt second = prompts()[1];
  second.options.prompt_cache = &cache;
  BatchGenerator generator(session_, tokenizer_);
  generator.insert(first.tokens, first.options);
  generator.insert(second.tokens, second.options);
  WholeAnswer answer;
  std::vector<Error> errors;
  while (generator.n_sequences() > 0) {
    for (BatchGenerator::Response& response : generator.next())
      if (response.error)
        errors.push_back(*response.error);
      else if (response.uid == 0)
        answer.add(std::move(response.response));
    cache.trim(1);
  }
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_NE(std::string_view(errors[0].what()).find("prompt_cache: expected the 2 tokens"),
            std::string_view::npos);
  expect_equal(answer, alone(first), "the other one");
}

TEST_F(Batch, WhoCancelsMayTrimTheCacheAtOnce) {
  std::stop_source source;
  PromptCache cache(model_);
  BatchPrompt prompt = prompts()[1];
  prompt.options.prompt_cache = &cache;
  prompt.options.cancel = source.get_token();
  BatchGenerator generator(session_, tokenizer_);
  generator.insert(prompt.tokens, prompt.options);
  GenerateStepOptions options;
  PromptCache other = make_prompt_cache(model_);
  options.prompt_cache = &other;
  options.cancel = source.get_token();
  GenerateStep steps(session_, prompt.tokens, options);
  ASSERT_FALSE(generator.next()[0].error);
  ASSERT_TRUE(steps.next());
  source.request_stop();
  cache.trim(1);
  other.trim(1);
  const std::vector<BatchGenerator::Response> ended = generator.next();
  ASSERT_EQ(ended.size(), 1u);
  ASSERT_TRUE(ended[0].error);
  EXPECT_EQ(ended[0].error->code(), ErrorCode::kCanceled);
  test::expect_error(ErrorCode::kCanceled, "", [&] { steps.next(); });
}

TEST_F(Batch, CancelEndsAllOfThem) {
  std::stop_source source;
  std::vector<BatchPrompt> all = prompts();
  int n_tokens = 0;
  all[0].options.logits_processors = callable([&](std::span<const int32_t>, std::span<float>) {
    if (++n_tokens == 3) source.request_stop();
  });
  test::expect_error(ErrorCode::kCanceled, "canceled", [&] {
    batch_generate(session_, tokenizer_, std::move(all), {.cancel = source.get_token()});
  });
  EXPECT_EQ(n_tokens, 3);
}

TEST_F(Batch, CancelEndsThoseOfBothTypesOfCache) {
  std::stop_source source;
  PromptCache narrow(model_, CacheType::kBF16);
  std::vector<BatchPrompt> all = prompts();
  all[1].options.prompt_cache = &narrow;
  int n_tokens = 0;
  all[0].options.logits_processors = callable([&](std::span<const int32_t>, std::span<float>) {
    if (++n_tokens == 3) source.request_stop();
  });
  BatchGenerator generator(session_, tokenizer_, {.cancel = source.get_token()});
  for (BatchPrompt& prompt : all) generator.insert(prompt.tokens, std::move(prompt.options));
  const auto run = [&] {
    while (generator.n_sequences() > 0) generator.next();
  };
  test::expect_error(ErrorCode::kCanceled, "canceled", run);
  EXPECT_EQ(n_tokens, 3);
  const int64_t n_read = narrow.offset();
  test::expect_error(ErrorCode::kCanceled, "canceled", run);
  EXPECT_EQ(narrow.offset(), n_read);
}

// Wherever in the two passes it comes: prompts of one length are read in step or not at all.
TEST_F(Batch, CancelLeavesNoSequenceAheadOfTheOthers) {
  const std::vector<int32_t> prompt(400, 13);
  for (int delay_ms = 0; delay_ms < 40; delay_ms += 3) {
    std::stop_source source;
    PromptCache wide(model_);
    PromptCache narrow(model_, CacheType::kBF16);
    BatchGenerator generator(session_, tokenizer_, {.cancel = source.get_token()});
    for (PromptCache* cache : {&wide, &narrow}) {
      StreamOptions options = sampled(1, 1000);
      options.prefill_step_size = 50;
      options.prompt_cache = cache;
      generator.insert(prompt, options);
    }
    const std::jthread timer([source, delay_ms]() mutable {
      std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
      source.request_stop();
    });
    try {
      while (generator.n_sequences() > 0) generator.next();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCanceled);
    }
    EXPECT_EQ(wide.offset(), narrow.offset());
  }
}

TEST_F(Batch, SequencesJoinAndLeaveBetweenPasses) {
  BatchGenerator generator(session_, tokenizer_, {.completion_batch_size = 2});
  std::map<int64_t, WholeAnswer> answers;
  const auto run = [&](int n_passes) {
    for (; n_passes > 0 && generator.n_sequences() > 0; --n_passes)
      for (BatchGenerator::Response& response : generator.next()) {
        ASSERT_FALSE(response.error);
        EXPECT_EQ(response.response.logprobs.size(), response.response.token ? 32768u : 0u);
        answers[response.uid].add(std::move(response.response));
      }
  };
  EXPECT_TRUE(generator.next().empty());
  EXPECT_EQ(generator.insert(ids("Once upon a time"), sampled(1, 20)), 0);
  run(4);
  EXPECT_EQ(generator.insert(ids("The river"), sampled(2, 20)), 1);
  EXPECT_EQ(generator.insert(ids("A glacier is"), sampled(3, 20)), 2);
  run(4);
  EXPECT_EQ(answers[0].tokens.size(), 8u);
  EXPECT_EQ(answers[1].tokens.size(), 4u);
  EXPECT_FALSE(answers.contains(2)) << "there is no place for it";
  EXPECT_TRUE(generator.remove(1));
  EXPECT_FALSE(generator.remove(1));
  EXPECT_FALSE(generator.remove(77));
  EXPECT_EQ(generator.n_sequences(), 2);
  run(100);
  EXPECT_EQ(generator.n_sequences(), 0);
  EXPECT_EQ(answers[1].tokens.size(), 4u);
  expect_equal(answers[0], alone({ids("Once upon a time"), sampled(1, 20)}), "first");
  expect_equal(answers[2], alone({ids("A glacier is"), sampled(3, 20)}), "last");
}

TEST_F(Batch, NumbersOfSequencesBelowOne) {
  test::expect_error(ErrorCode::kInvalidArgument, "completion_batch_size: expected 1 or more, got 0",
                     [&] { BatchGenerator(session_, tokenizer_, {.completion_batch_size = 0}); });
  test::expect_error(ErrorCode::kInvalidArgument, "prefill_batch_size: expected 1 or more, got -1",
                     [&] { BatchGenerator(session_, tokenizer_, {.prefill_batch_size = -1}); });
}

}  // namespace
}  // namespace lille
