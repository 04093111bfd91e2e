// Drafts change how many passes an answer takes and nothing else: tokens, every bit of the log-probabilities,
// what processors see and what stands in the cache after each token are those of an answer without them.

#include "generate/speculative.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <stdexcept>

#include "generate/guesser.h"
#include "lille/prompt_cache.h"
#include "model/golden.h"

namespace lille {
namespace {

using test::Guesser;
using Ids = std::vector<int32_t>;

/// What can be seen of one step.
struct Step {
  int32_t token;
  std::vector<uint32_t> logprobs;  // bits
  Ids cached;                      // tokens of the prompt cache

  bool operator==(const Step&) const = default;
};

struct Course {
  std::vector<Step> steps;
  std::vector<Ids> shown;  // to processors
  DraftStats stats;

  Ids tokens() const {
    Ids ids;
    for (const Step& step : steps) ids.push_back(step.token);
    return ids;
  }
};

Step step_of(const GenerateStepResult& result, const PromptCache& cache) {
  Step step = {result.token, {}, {cache.tokens().begin(), cache.tokens().end()}};
  for (const float logprob : result.logprobs) step.logprobs.push_back(std::bit_cast<uint32_t>(logprob));
  return step;
}

/// A model, a prompt for it and its answers.
class Subject {
 public:
  explicit Subject(const std::filesystem::path& folder, int64_t n_threads = 1)
      : model_(test::load_model(folder)), session_(model_, {n_threads, ""}) {
    for (int32_t idx = 0; idx < 9; ++idx)
      prompt_.push_back(static_cast<int32_t>((idx % 4 * 97 + 5) % model_.args().vocab_size));
  }

  GenerateStepOptions greedy(int64_t max_tokens = 24) const {
    GenerateStepOptions options;
    options.max_tokens = max_tokens;
    options.adaptive_draft = false;
    options.num_draft_tokens = 5;
    return options;
  }

  GenerateStepOptions sampled(uint64_t seed) const {
    GenerateStepOptions options = greedy();
    const int64_t vocab_size = model_.args().vocab_size;
    options.seed = seed;
    options.sampler = make_sampler({.temperature = 0.9F,
                                    .top_p = 0.9F,
                                    .min_p = 0.01F,
                                    .top_k = 40,
                                    .xtc_probability = 0.3F,
                                    .xtc_threshold = 0.1F},
                                   vocab_size);
    options.logits_processors =
        make_logits_processors({.logit_bias = {{3, 1.5F}, {4, -std::numeric_limits<float>::infinity()}},
                                .repetition_penalty = 1.2F,
                                .presence_penalty = 0.3F,
                                .frequency_penalty = 0.2F},
                               vocab_size);
    return options;
  }

  Course run(GenerateStepOptions options, Drafter* drafter) {
    Course course;
    PromptCache cache = make_prompt_cache(model_, cache_type_);
    options.prompt_cache = &cache;
    options.drafter = drafter;
    options.logits_processors.add(make_processor([&](std::span<const int32_t> tokens, std::span<float>) {
      course.shown.emplace_back(tokens.begin(), tokens.end());
    }));
    GenerateStep steps(session_, prompt_, std::move(options));
    while (const auto step = steps.next()) {
      course.steps.push_back(step_of(*step, cache));
      course.stats = step->draft;
    }
    return course;
  }

  void expect_same(const GenerateStepOptions& options, Drafter& drafter, const std::string& what) {
    const Course plain = run(options, nullptr);
    const Course drafted = run(options, &drafter);
    EXPECT_GT(plain.steps.size(), 1U);
    EXPECT_TRUE(plain.steps == drafted.steps) << what;
    EXPECT_TRUE(plain.shown == drafted.shown) << what;
    EXPECT_EQ(plain.stats.n_drafted, 0) << what;
  }

  /// Drafts what the plain answer has, except that every `period`-th token of it is another.
  Guesser oracle(const GenerateStepOptions& options, std::size_t period = SIZE_MAX) {
    return Guesser([this, answer = run(options, nullptr).tokens(), period](const DraftRequest& request) {
      Ids guess;
      for (std::size_t idx = request.tokens.size() - prompt_.size(); idx < answer.size(); ++idx) {
        if (static_cast<int64_t>(guess.size()) == request.n_tokens) break;
        const bool is_wrong = idx % period == period - 1;
        guess.push_back(is_wrong ? (answer[idx] + 1) % static_cast<int32_t>(model_.args().vocab_size)
                                 : answer[idx]);
      }
      return guess;
    });
  }

  Model model_;
  Session session_;
  Ids prompt_;
  CacheType cache_type_ = CacheType::kF32;
};

std::filesystem::path toy() { return test::source_path("tests/golden/mlx/toy"); }

class AnyModel : public testing::TestWithParam<std::string> {
 protected:
  Subject subject_{test::source_path(GetParam()), 2};

  void expect_same_for_every_drafter(const GenerateStepOptions& options, const std::string& what) {
    Guesser right = subject_.oracle(options);
    subject_.expect_same(options, right, what + ", always right");
    Guesser wrong = subject_.oracle(options, 1);
    subject_.expect_same(options, wrong, what + ", always wrong");
    Guesser mixed = subject_.oracle(options, 3);
    subject_.expect_same(options, mixed, what + ", every third wrong");
    Guesser silent([](const DraftRequest&) { return Ids{}; });
    subject_.expect_same(options, silent, what + ", without an idea");
    const auto lookup = make_lookup_drafter(1);
    subject_.expect_same(options, *lookup, what + ", lookup");
    Session twin(subject_.model_, {1, ""});
    const auto itself = make_model_drafter(twin, subject_.model_);
    subject_.expect_same(options, *itself, what + ", the model itself");
  }
};

TEST_P(AnyModel, GreedyAnswersAreTheSame) {
  expect_same_for_every_drafter(subject_.greedy(), "greedy");
  GenerateStepOptions adaptive = subject_.greedy();
  adaptive.adaptive_draft = true;
  adaptive.num_draft_tokens = kMaxDraftTokens;
  expect_same_for_every_drafter(adaptive, "adaptive");
}

TEST_P(AnyModel, SampledAnswersAreTheSameForEachSeed) {
  for (uint64_t seed = 0; seed < 3; ++seed)
    expect_same_for_every_drafter(subject_.sampled(seed), "seed " + std::to_string(seed));
}

TEST_P(AnyModel, CachesOfBf16) {
  subject_.cache_type_ = CacheType::kBF16;
  expect_same_for_every_drafter(subject_.sampled(9), "bf16");
}

INSTANTIATE_TEST_SUITE_P(Models, AnyModel,
                         testing::Values("tests/golden/mlx/toy", "tests/golden/mlx/odd",
                                         "models/lille-tiny-8bit"),
                         [](const auto& named) {
                           std::string name = named.param.substr(named.param.rfind('/') + 1);
                           std::erase_if(name, [](char letter) { return std::isalnum(letter) == 0; });
                           return name;
                         });

class Speculative : public testing::Test {
 protected:
  Subject subject_{toy()};
};

TEST_F(Speculative, RightDraftsSavePasses) {
  const GenerateStepOptions options = subject_.greedy(25);
  Guesser right = subject_.oracle(options);
  const DraftStats stats = subject_.run(options, &right).stats;
  // The prompt's pass gives one token, four of the others give six each.
  EXPECT_EQ(stats.n_passes, 1 + 4);
  EXPECT_EQ(stats.n_drafted, 4 * 5);
  EXPECT_EQ(stats.n_accepted, 4 * 5);
  Guesser wrong = subject_.oracle(options, 1);
  const DraftStats none = subject_.run(options, &wrong).stats;
  EXPECT_EQ(none.n_passes, 25);
  EXPECT_EQ(none.n_accepted, 0);
  EXPECT_GT(none.n_drafted, 24);
}

TEST_F(Speculative, TheModelItselfIsAlwaysRight) {
  Session twin(subject_.model_, {1, ""});
  const auto itself = make_model_drafter(twin, subject_.model_);
  GenerateStepOptions options = subject_.sampled(4);
  options.logits_processors = {};
  const DraftStats stats = subject_.run(options, itself.get()).stats;
  EXPECT_EQ(stats.n_accepted, stats.n_drafted);
  EXPECT_EQ(stats.n_passes, 1 + 4);
}

TEST_F(Speculative, FromDraftSaysWhichTokensWereGuessed) {
  GenerateStepOptions options = subject_.greedy(9);
  options.num_draft_tokens = 3;
  Guesser mixed = subject_.oracle(options, 3);
  options.drafter = &mixed;
  GenerateStep steps(subject_.session_, subject_.prompt_, std::move(options));
  std::vector<bool> guessed;
  while (const auto step = steps.next()) guessed.push_back(step->from_draft);
  // Token 0 is the prompt's; 2, 5 and 8 are guessed wrong; each wrong guess ends a pass, whose next token is
  // guessed in the next one.
  EXPECT_EQ(guessed, (std::vector<bool>{false, true, false, true, true, false, true, true, false}));
}

TEST_F(Speculative, NoMoreIsAskedForThanTheAnswerCanTake) {
  GenerateStepOptions options = subject_.greedy(1000);
  options.num_draft_tokens = 20;
  Guesser right = subject_.oracle(options);
  subject_.expect_same(options, right, "to the end of the context");
  const Course course = subject_.run(options, &right);
  // 64 positions; the last token is not read again.
  EXPECT_EQ(course.steps.size(), 64U - 9 + 1);
  EXPECT_EQ(course.stats.n_accepted, course.stats.n_drafted);
  GenerateStepOptions few = subject_.greedy(4);
  std::vector<int64_t> asked;
  Guesser counting([&](const DraftRequest& request) {
    asked.push_back(request.n_tokens);
    return Ids{};
  });
  subject_.run(few, &counting);
  EXPECT_EQ(asked, (std::vector<int64_t>{2, 1})) << "the last of four tokens needs no guess";
}

TEST_F(Speculative, LongerDraftsThanAskedForAreCut) {
  GenerateStepOptions options = subject_.greedy();
  const Ids answer = subject_.run(options, nullptr).tokens();
  Guesser eager([&](const DraftRequest& request) {
    const std::size_t n_made = request.tokens.size() - subject_.prompt_.size();
    return Ids(answer.begin() + static_cast<std::ptrdiff_t>(n_made), answer.end());
  });
  subject_.expect_same(options, eager, "eager");
}

TEST_F(Speculative, BadDraftsAndOptionsAreErrors) {
  for (const int32_t id : {-1, 512}) {
    GenerateStepOptions options = subject_.greedy();
    Guesser outside([id](const DraftRequest&) { return Ids{id}; });
    options.drafter = &outside;
    GenerateStep steps(subject_.session_, subject_.prompt_, std::move(options));
    steps.next();
    test::expect_error(ErrorCode::kInvalidArgument,
                       "drafter: expected token ids from 0 to 511, got " + std::to_string(id),
                       [&] { steps.next(); });
  }
  for (const int64_t n : {int64_t{0}, int64_t{-3}, kMaxDraftTokens + 1}) {
    GenerateStepOptions options = subject_.greedy();
    options.num_draft_tokens = n;
    test::expect_error(ErrorCode::kInvalidArgument,
                       "num_draft_tokens: expected 1 to 32, got " + std::to_string(n),
                       [&] { GenerateStep(subject_.session_, subject_.prompt_, std::move(options)); });
  }
}

TEST_F(Speculative, ADrafterThatThrowsIsAskedAgain) {
  const GenerateStepOptions options = subject_.greedy(12);
  const Course plain = subject_.run(options, nullptr);
  Guesser right = subject_.oracle(options);
  int n_calls = 0;
  Guesser failing([&](const DraftRequest& request) {
    if (n_calls++ == 1) throw std::runtime_error("once");
    return right.draft(request);
  });
  GenerateStepOptions drafted = options;
  drafted.drafter = &failing;
  GenerateStep steps(subject_.session_, subject_.prompt_, std::move(drafted));
  Ids tokens;
  int n_thrown = 0;
  while (steps.has_next()) {
    try {
      tokens.push_back(steps.next()->token);
    } catch (const std::runtime_error&) {
      ++n_thrown;
    }
  }
  EXPECT_EQ(n_thrown, 1);
  EXPECT_EQ(tokens, plain.tokens());
}

// A processor that keeps what it has seen fails once at each of its calls, drafted tokens or not.
class Keeping : public LogitsProcessor {
 public:
  explicit Keeping(std::function<void()> act) : act_(std::move(act)) {}
  void process(std::span<const int32_t> tokens, std::span<float> logits) override {
    EXPECT_LT(kept_.size(), tokens.size()) << "shown the same tokens twice without a rollback";
    kept_.insert(kept_.end(), tokens.begin() + static_cast<std::ptrdiff_t>(kept_.size()), tokens.end());
    logits[static_cast<std::size_t>(kept_.back())] -= 100;
    act_();
  }
  void rollback(int64_t n_tokens) override { kept_.resize(static_cast<std::size_t>(n_tokens)); }
  std::unique_ptr<LogitsProcessor> clone() const override { return std::make_unique<Keeping>(*this); }

 private:
  std::function<void()> act_;
  Ids kept_;
};

TEST_F(Speculative, AfterAProcessorThrowsTheStepIsRepeated) {
  const auto answer = [&](int failing, Drafter* drafter) {
    int n_calls = 0;
    PromptCache cache = make_prompt_cache(subject_.model_);
    GenerateStepOptions options = subject_.greedy(10);
    options.sampler = make_sampler({.temperature = 1}, 512);
    options.seed = 3;
    options.num_draft_tokens = 3;
    options.prompt_cache = &cache;
    options.drafter = drafter;
    options.logits_processors.add(std::make_unique<Keeping>([&] {
      if (n_calls++ == failing) throw std::runtime_error("once");
    }));
    GenerateStep steps(subject_.session_, subject_.prompt_, std::move(options));
    std::vector<Step> made;
    while (steps.has_next()) {
      try {
        made.push_back(step_of(*steps.next(), cache));
      } catch (const std::runtime_error&) {
        EXPECT_EQ(cache.offset(), made.empty() ? 0 : static_cast<int64_t>(made.back().cached.size()));
      }
    }
    return made;
  };
  const std::vector<Step> plain = answer(1000, nullptr);
  ASSERT_EQ(plain.size(), 10U);
  Ids tokens;
  for (const Step& step : plain) tokens.push_back(step.token);
  Guesser mixed([&](const DraftRequest& request) {
    const std::size_t n_made = request.tokens.size() - subject_.prompt_.size();
    Ids guess(tokens.begin() + static_cast<std::ptrdiff_t>(n_made), tokens.end());
    if (guess.size() > 2) guess[2] = (guess[2] + 1) % 512;
    return guess;
  });
  for (int failing = 0; failing < 10; ++failing)
    EXPECT_TRUE(answer(failing, &mixed) == plain) << "failing call " << failing;
}

TEST_F(Speculative, CancelStopsItBetweenDraftedTokensToo) {
  for (int n_before = 1; n_before < 6; ++n_before) {
    std::stop_source source;
    PromptCache cache = make_prompt_cache(subject_.model_);
    GenerateStepOptions options = subject_.greedy();
    Guesser right = subject_.oracle(options);
    options.drafter = &right;
    options.prompt_cache = &cache;
    options.cancel = source.get_token();
    GenerateStep steps(subject_.session_, subject_.prompt_, std::move(options));
    for (int idx = 0; idx < n_before; ++idx) ASSERT_TRUE(steps.next());
    source.request_stop();
    test::expect_error(ErrorCode::kCanceled, "canceled", [&] { steps.next(); });
    EXPECT_EQ(cache.offset(), static_cast<int64_t>(subject_.prompt_.size()) + n_before - 1);
  }
}

// Between two tokens a caller may use the session, read on from the cache and take that back, or leave.
TEST_F(Speculative, WhatHappensBetweenTwoTokensDoesNotMatter) {
  const GenerateStepOptions plain = subject_.greedy();
  const Course wanted = subject_.run(plain, nullptr);
  Guesser right = subject_.oracle(plain);
  PromptCache cache = make_prompt_cache(subject_.model_);
  GenerateStepOptions options = plain;
  options.drafter = &right;
  options.prompt_cache = &cache;
  GenerateStep steps(subject_.session_, subject_.prompt_, std::move(options));
  std::vector<Step> made;
  while (const auto step = steps.next()) {
    made.push_back(step_of(*step, cache));
    test::all_logits(subject_.session_, Ids{7, 8, 9});
    if (made.size() % 3 != 0) continue;
    const Ids other = {500, 501};
    const BatchItem item = {other, &cache, LogitsFor::kLast};
    subject_.session_.forward(std::span(&item, 1));
    cache.trim(2);
  }
  EXPECT_TRUE(made == wanted.steps);
}

TEST_F(Speculative, TheSavedCacheIsTheSameWhereverTheAnswerEnds) {
  const test::TemporaryFolder folder;
  const auto saved = [&](std::size_t n_tokens, Drafter* drafter) {
    PromptCache cache = make_prompt_cache(subject_.model_);
    GenerateStepOptions options = subject_.greedy();
    options.prompt_cache = &cache;
    options.drafter = drafter;
    GenerateStep steps(subject_.session_, subject_.prompt_, std::move(options));
    for (std::size_t idx = 0; idx < n_tokens; ++idx) steps.next();
    save_prompt_cache(folder.path() / "cache", cache);
    return test::read_file(folder.path() / "cache");
  };
  Guesser mixed = subject_.oracle(subject_.greedy(), 4);
  for (const std::size_t n_tokens : {1U, 2U, 3U, 4U, 5U, 9U})
    EXPECT_TRUE(saved(n_tokens, &mixed) == saved(n_tokens, nullptr)) << n_tokens << " tokens";
}

// Three tokens of four candidates each: 64 answers, whose chances the model itself tells.
TEST_F(Speculative, SampledAnswersHaveTheModelsDistribution) {
  constexpr int kSamples = 6000;
  const Sampler sampler = make_sampler({.temperature = 1.3F, .top_k = 4}, 512);
  std::map<Ids, double> chances = {{{}, 1.0}};
  for (int length = 0; length < 3; ++length) {
    std::map<Ids, double> longer;
    for (const auto& [answer, chance] : chances) {
      Ids ids = subject_.prompt_;
      ids.insert(ids.end(), answer.begin(), answer.end());
      const std::vector<float> logits = test::all_logits(subject_.session_, ids);
      std::vector<std::pair<double, int32_t>> best;
      for (std::size_t id = 0; id < 512; ++id)
        best.emplace_back(logits[logits.size() - 512 + id], static_cast<int32_t>(id));
      std::ranges::sort(best, std::greater());
      best.resize(4);
      double sum = 0;
      for (const auto& [logit, id] : best) sum += std::exp(logit / 1.3);
      for (const auto& [logit, id] : best) {
        Ids next = answer;
        next.push_back(id);
        longer[next] = chance * std::exp(logit / 1.3) / sum;
      }
    }
    chances = std::move(longer);
  }
  ASSERT_EQ(chances.size(), 64U);

  // Drafts with numbers of its own, so that right and wrong guesses mix.
  Session twin(subject_.model_, {1, ""});
  const auto itself = make_model_drafter(twin, subject_.model_);
  Guesser other([&](const DraftRequest& request) {
    return itself->draft({request.tokens, request.n_tokens, sampler, RandomState(request.tokens.size()), {}});
  });
  std::map<Ids, double> counts;
  DraftStats stats;
  for (uint64_t seed = 0; seed < kSamples; ++seed) {
    GenerateStepOptions options = subject_.greedy(3);
    options.sampler = sampler;
    options.seed = seed;
    options.drafter = &other;
    GenerateStep steps(subject_.session_, subject_.prompt_, std::move(options));
    Ids answer;
    while (const auto step = steps.next()) {
      answer.push_back(step->token);
      if (answer.size() < 3) continue;
      stats.n_drafted += step->draft.n_drafted;
      stats.n_accepted += step->draft.n_accepted;
    }
    ++counts[answer];
  }
  EXPECT_GT(stats.n_accepted, kSamples / 10);
  EXPECT_LT(stats.n_accepted, stats.n_drafted);
  double chi_square = 0;
  for (const auto& [answer, chance] : chances) {
    const double wanted = chance * kSamples;
    chi_square += (counts[answer] - wanted) * (counts[answer] - wanted) / wanted;
    counts.erase(answer);
  }
  for (const auto& [answer, count] : counts) EXPECT_EQ(count, 0) << "an answer the sampler excludes";
  // 63 degrees of freedom: a value above 116 comes once in 20,000 times.
  EXPECT_LT(chi_square, 116);
}

}  // namespace
}  // namespace lille
