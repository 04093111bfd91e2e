// A prompt whose beginning is in a cache, in memory or from a file, gets the answer of a cold run: the same
// tokens and the same bits of every log-probability.

#include <bit>
#include <cstring>

#include "lille/batch.h"
#include "lille/generate.h"
#include "model/golden.h"

namespace lille {
namespace {

struct AnswerBits {
  std::vector<int32_t> tokens;
  std::vector<uint32_t> logprobs;  ///< The bits of all of every step.

  bool operator==(const AnswerBits&) const = default;
};

struct Case {
  RopeLayout layout;
  CacheType type;
};

class ReusePrefix : public testing::TestWithParam<Case> {
 protected:
  // Penalties over all tokens, so that an answer shows whether they saw those of the cache.
  StreamOptions options(PromptCache& cache) const {
    StreamOptions options;
    options.max_tokens = 5;
    options.seed = 3;
    options.sampler = make_sampler({.temperature = 0.9F}, 32768);
    options.logits_processors = make_logits_processors({.repetition_penalty = 1.5F,
                                                        .repetition_context_size = 0,
                                                        .presence_penalty = 0.3F,
                                                        .presence_context_size = 0,
                                                        .frequency_penalty = 0.7F,
                                                        .frequency_context_size = 0},
                                                       32768);
    options.prompt_cache = &cache;
    options.reuse_prefix = true;
    options.prefill_step_size = 5;
    return options;
  }

  AnswerBits answer(PromptCache& cache, const std::vector<int32_t>& prompt, int64_t n_cached) {
    StreamGenerate stream(session_, tokenizer_, prompt, options(cache));
    AnswerBits bits;
    while (const auto response = stream.next()) {
      EXPECT_EQ(response->n_cached_tokens, n_cached);
      EXPECT_EQ(response->prompt_tokens, static_cast<int64_t>(prompt.size()));
      bits.tokens.push_back(*response->token);
      const std::size_t n_before = bits.logprobs.size();
      bits.logprobs.resize(n_before + response->logprobs.size());
      std::memcpy(bits.logprobs.data() + n_before, response->logprobs.data(),
                  response->logprobs.size_bytes());
    }
    return bits;
  }

  AnswerBits cold(const std::vector<int32_t>& prompt) {
    PromptCache cache = make_prompt_cache(model_, GetParam().type);
    return answer(cache, prompt, 0);
  }

  PromptCache filled(const std::vector<int32_t>& ids) {
    PromptCache cache = make_prompt_cache(model_, GetParam().type);
    const BatchItem item = {ids, &cache, LogitsFor::kNone};
    session_.forward(std::span(&item, 1));
    return cache;
  }

  Model model_ = test::load_model(test::source_path("models/lille-tiny-8bit"), GetParam().layout);
  Tokenizer tokenizer_ = Tokenizer::load(model_.path());
  Session session_{model_, {2, ""}};
  std::vector<int32_t> cached_ = {32767, 7454, 2402, 257, 640, 11, 287, 257, 1598, 2647};
  test::TemporaryFolder folder_;
};

TEST_P(ReusePrefix, EveryWayToShareGivesTheColdAnswer) {
  const auto prompt_of = [&](std::size_t n_shared, std::vector<int32_t> rest) {
    rest.insert(rest.begin(), cached_.begin(), cached_.begin() + static_cast<std::ptrdiff_t>(n_shared));
    return rest;
  };
  struct Sharing {
    const char* name;
    std::vector<int32_t> prompt;
    int64_t n_cached;
  };
  const std::vector<Sharing> sharings = {
      {"equal", prompt_of(10, {}), 9},
      {"the cache is a prefix", prompt_of(10, {640, 257, 9, 300, 257, 12, 11}), 10},
      {"the prompt is a prefix", prompt_of(6, {}), 5},
      {"parting in the middle", prompt_of(4, {11, 640, 287, 500}), 4},
      {"nothing in common", {5, 2402, 257}, 0},
      {"one token", {32767}, 0},
  };
  const std::filesystem::path path = folder_.path() / "cache";
  save_prompt_cache(path, filled(cached_));
  for (const auto& [name, prompt, n_cached] : sharings) {
    SCOPED_TRACE(name);
    const AnswerBits wanted = cold(prompt);
    PromptCache in_memory = filled(cached_);
    EXPECT_EQ(answer(in_memory, prompt, n_cached), wanted);
    PromptCache from_file =
        load_prompt_cache(path, model_, {GetParam().type, std::string(session_.kernels())});
    EXPECT_EQ(answer(from_file, prompt, n_cached), wanted);
    EXPECT_TRUE(std::ranges::equal(from_file.tokens().first(prompt.size()), prompt));
    EXPECT_EQ(from_file.offset(), static_cast<int64_t>(prompt.size() + wanted.tokens.size()) - 1);
  }
}

TEST_P(ReusePrefix, ThePenaltiesOfTheseAnswersDependOnTheCachedTokens) {
  PromptCache cache = filled(cached_);
  StreamOptions plain = options(cache);
  plain.logits_processors = {};
  StreamGenerate stream(session_, tokenizer_, cached_, plain);
  const auto first = stream.next();
  ASSERT_TRUE(first);
  const float unpenalised = first->logprobs[2402];
  const AnswerBits penalised = cold(cached_);
  EXPECT_NE(std::bit_cast<float>(penalised.logprobs[2402]), unpenalised);
}

TEST_P(ReusePrefix, ASecondTurnReusesTheAnswerOfTheFirst) {
  PromptCache cache = make_prompt_cache(model_, GetParam().type);
  const AnswerBits first = answer(cache, cached_, 0);
  std::vector<int32_t> second = cached_;
  second.insert(second.end(), first.tokens.begin(), first.tokens.end());
  second.push_back(640);
  const auto n_cached = static_cast<int64_t>(cached_.size() + first.tokens.size()) - 1;
  const AnswerBits wanted = cold(second);
  EXPECT_EQ(answer(cache, second, n_cached), wanted);
}

TEST_P(ReusePrefix, MaxTokensZeroFillsTheCache) {
  PromptCache cache = make_prompt_cache(model_, GetParam().type);
  StreamOptions fill = options(cache);
  fill.max_tokens = 0;
  EXPECT_EQ(generate(session_, tokenizer_, cached_, fill), "");
  EXPECT_TRUE(std::ranges::equal(cache.tokens(), cached_));
  std::vector<int32_t> prompt = cached_;
  prompt.push_back(11);
  const AnswerBits wanted = cold(prompt);
  EXPECT_EQ(answer(cache, prompt, 10), wanted);
}

TEST_P(ReusePrefix, ABatchReusesAndFillsToo) {
  std::vector<int32_t> prompt = cached_;
  prompt.push_back(640);
  const AnswerBits wanted = cold(prompt);
  PromptCache reused = filled(cached_);
  PromptCache empty = make_prompt_cache(model_, GetParam().type);
  StreamOptions fill = options(empty);
  fill.max_tokens = 0;
  const std::vector<BatchResult> results =
      batch_generate(session_, tokenizer_, {{prompt, options(reused)}, {cached_, fill}});
  std::vector<int32_t> tokens;
  for (const TokenLogprob& token : results[0].answer.tokens) tokens.push_back(token.token);
  EXPECT_EQ(tokens, wanted.tokens);
  EXPECT_EQ(results[0].answer.last.n_cached_tokens, 10);
  EXPECT_FALSE(results[1].error);
  EXPECT_TRUE(results[1].answer.tokens.empty());
  EXPECT_EQ(results[1].answer.last.finish_reason, FinishReason::kLength);
  EXPECT_TRUE(std::ranges::equal(empty.tokens(), cached_));
}

TEST_P(ReusePrefix, APromptThatIsTooLongIsCutBeforeItIsCompared) {
  PromptCache cache = filled(cached_);
  std::vector<int32_t> prompt = cached_;
  while (prompt.size() < 600) prompt.push_back(static_cast<int32_t>(prompt.size() * 31 % 5000));
  StreamOptions cut = options(cache);
  test::expect_error(ErrorCode::kInvalidArgument, "600 tokens are more than the context of 512 tokens",
                     [&] { StreamGenerate(session_, tokenizer_, prompt, cut); });
  EXPECT_EQ(cache.offset(), 10) << "a refused prompt costs nothing";
  cut.overflow = Overflow::kTruncateLeft;
  cut.max_tokens = 1;
  StreamGenerate stream(session_, tokenizer_, prompt, cut);
  const auto response = stream.next();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->n_cached_tokens, 1) << "<|startoftext|>";
  EXPECT_EQ(response->prompt_tokens, 512);
  EXPECT_EQ(response->n_dropped_tokens, 88);
}

TEST_P(ReusePrefix, ACacheThatDoesNotFitIsRefusedAsItIs) {
  PromptCache cache = filled(cached_);
  const std::vector<int32_t> prompt = {32767, 7454, 5};
  const auto expect_kept = [&](Session& session, std::string_view part) {
    test::expect_error(ErrorCode::kInvalidArgument, part,
                       [&] { StreamGenerate(session, tokenizer_, prompt, options(cache)); });
    BatchGenerator batch(session, tokenizer_);
    test::expect_error(ErrorCode::kInvalidArgument, part, [&] { batch.insert(prompt, options(cache)); });
    EXPECT_TRUE(std::ranges::equal(cache.tokens(), cached_));
  };
  Session other(test::load_model(model_.path(), GetParam().layout), {1, ""});
  expect_kept(other, "prompt_cache: expected a cache of this session's model");
  if (session_.kernels().starts_with("reference")) return;
  Session slow(model_, {1, "reference"});
  expect_kept(slow, "prompt_cache: expected a cache filled by reference");
  StreamGenerate fresh(slow, tokenizer_, std::vector<int32_t>{5, 6}, options(cache));
  EXPECT_EQ(cache.offset(), 0) << "nothing of it is reused, so it fits";
}

TEST_P(ReusePrefix, ThePromptMayBeTheCachesOwnTokens) {
  const AnswerBits wanted = cold(cached_);
  PromptCache cache = filled(cached_);
  GenerateStep steps(session_, cache.tokens(), options(cache));
  std::vector<int32_t> tokens;
  while (const auto step = steps.next()) tokens.push_back(step->token);
  EXPECT_EQ(tokens, wanted.tokens);
}

INSTANTIATE_TEST_SUITE_P(All, ReusePrefix,
                         testing::Values(Case{RopeLayout::kInterleaved, CacheType::kF32},
                                         Case{RopeLayout::kInterleaved, CacheType::kBF16},
                                         Case{RopeLayout::kInterleaved, CacheType::kQ8_0},
                                         Case{RopeLayout::kHalf, CacheType::kF32},
                                         Case{RopeLayout::kHalf, CacheType::kBF16},
                                         Case{RopeLayout::kOriginal, CacheType::kF32},
                                         Case{RopeLayout::kOriginal, CacheType::kBF16}),
                         [](const auto& test) {
                           return std::string(rope_layout_name(test.param.layout)) +
                                  std::string(cache_type_name(test.param.type));
                         });

}  // namespace
}  // namespace lille
