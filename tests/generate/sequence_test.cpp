#include "generate/sequence.h"

#include <stdexcept>

#include "model/golden.h"

namespace lille {
namespace {

class SequenceTest : public testing::Test {
 protected:
  Sequence make(GenerateStepOptions options) const { return Sequence(session_, prompt_, std::move(options)); }
  void read(const BatchItem& item) { session_.forward(std::span(&item, 1)); }
  void read(const std::vector<int32_t>& tokens, PromptCache& cache) {
    read({tokens, &cache, LogitsFor::kNone});
  }

  Model model_ = test::load_model(test::source_path("tests/golden/mlx/toy"));
  Session session_{model_, {1, ""}};
  std::vector<int32_t> prompt_ = {1, 2, 3, 4, 5};
  std::vector<float> logits_ = std::vector<float>(512, 0.0F);
};

TEST_F(SequenceTest, ReadsThePromptInStepsAndAsksForLogitsAtItsEnd) {
  GenerateStepOptions options;
  options.prefill_step_size = 2;
  Sequence sequence = make(std::move(options));
  for (const std::vector<int32_t>& step : {std::vector<int32_t>{1, 2}, std::vector<int32_t>{3, 4}}) {
    const BatchItem item = sequence.pending();
    EXPECT_TRUE(std::ranges::equal(item.tokens, step));
    EXPECT_EQ(item.logits, LogitsFor::kNone);
    read(item);
    EXPECT_FALSE(sequence.accept({}));
  }
  const BatchItem last = sequence.pending();
  EXPECT_EQ(last.tokens.size(), 1u);
  EXPECT_EQ(last.logits, LogitsFor::kLast);
  read(last);
  logits_[40] = 9;
  const auto step = sequence.accept(logits_);
  ASSERT_TRUE(step);
  EXPECT_EQ(step->token, 40);
  const BatchItem next = sequence.pending();
  EXPECT_TRUE(std::ranges::equal(next.tokens, std::vector<int32_t>{40})) << "what was drawn is read next";
  EXPECT_EQ(next.logits, LogitsFor::kLast);
}

TEST_F(SequenceTest, EndsAtMaxTokens) {
  GenerateStepOptions options;
  options.max_tokens = 1;
  Sequence sequence = make(std::move(options));
  EXPECT_TRUE(sequence.has_next());
  sequence.pending();
  EXPECT_TRUE(sequence.accept(logits_));
  EXPECT_FALSE(sequence.has_next());
}

TEST_F(SequenceTest, ReadsWhatFollowsTheCacheAndShowsProcessorsAllOfIt) {
  PromptCache cache = make_prompt_cache(model_);
  read({9, 8}, cache);
  std::vector<int32_t> shown;
  std::vector<std::pair<int64_t, int64_t>> progress;
  GenerateStepOptions options;
  options.prompt_cache = &cache;
  options.prompt_progress_callback = [&](int64_t n_done, int64_t n_all) {
    progress.emplace_back(n_done, n_all);
  };
  options.logits_processors.add(make_processor([&](std::span<const int32_t> tokens, std::span<float>) {
    shown.assign(tokens.begin(), tokens.end());
  }));
  Sequence sequence = make(std::move(options));
  EXPECT_TRUE(std::ranges::equal(sequence.pending().tokens, prompt_));
  sequence.accept(logits_);
  EXPECT_EQ(shown, (std::vector<int32_t>{9, 8, 1, 2, 3, 4, 5}));
  EXPECT_EQ(progress, (std::vector<std::pair<int64_t, int64_t>>{{5, 5}})) << "of the prompt that is read";
}

TEST_F(SequenceTest, WithoutTokensAPromptIsReadOnlyIntoTheCallersCache) {
  GenerateStepOptions options;
  options.max_tokens = 0;
  EXPECT_FALSE(make(options).has_pending());
  PromptCache cache = make_prompt_cache(model_);
  options.prompt_cache = &cache;
  options.prefill_step_size = 3;
  Sequence sequence = make(options);
  EXPECT_FALSE(sequence.has_next());
  for (const std::size_t n_tokens : {3u, 2u}) {
    ASSERT_TRUE(sequence.has_pending());
    const BatchItem item = sequence.pending();
    EXPECT_EQ(item.tokens.size(), n_tokens);
    EXPECT_EQ(item.logits, LogitsFor::kNone);
    read(item);
    EXPECT_FALSE(sequence.accept({}));
  }
  EXPECT_FALSE(sequence.has_pending());
}

// Lets no token follow itself, by what it has kept of the tokens it was shown, and can throw after that.
class NoRepeat : public LogitsProcessor {
 public:
  explicit NoRepeat(std::function<void()> last_act) : last_act_(std::move(last_act)) {}
  void process(std::span<const int32_t> tokens, std::span<float> logits) override {
    EXPECT_LT(kept_.size(), tokens.size()) << "shown the same tokens twice without a rollback";
    kept_.insert(kept_.end(), tokens.begin() + static_cast<std::ptrdiff_t>(kept_.size()), tokens.end());
    logits[static_cast<std::size_t>(kept_.back())] -= 100;
    last_act_();
  }
  void rollback(int64_t n_tokens) override { kept_.resize(static_cast<std::size_t>(n_tokens)); }
  std::unique_ptr<LogitsProcessor> clone() const override { return std::make_unique<NoRepeat>(*this); }

 private:
  std::function<void()> last_act_;
  std::vector<int32_t> kept_;
};

// Three calls tell the progress, four process logits; each of them throws once.
TEST_F(SequenceTest, AfterACallableThrowsTheSamePassCanBeRepeated) {
  constexpr int kNever = 1000;
  const auto answer = [&](int failing) {
    int n_calls = 0;
    const auto count = [&] {
      if (n_calls++ == failing) throw std::runtime_error("once");
    };
    PromptCache cache = make_prompt_cache(model_);
    GenerateStepOptions options;
    options.max_tokens = 4;
    options.seed = 5;
    options.prefill_step_size = 2;
    options.prompt_cache = &cache;
    options.prompt_progress_callback = [&](int64_t, int64_t) { count(); };
    options.logits_processors.add(std::make_unique<NoRepeat>(count));
    options.sampler = make_sampler({.temperature = 1}, 512);
    GenerateStep steps(session_, prompt_, std::move(options));
    std::vector<std::pair<int32_t, std::vector<float>>> made;
    int n_thrown = 0;
    while (steps.has_next()) {
      try {
        const auto step = steps.next();
        made.emplace_back(step->token, std::vector<float>(step->logprobs.begin(), step->logprobs.end()));
      } catch (const std::runtime_error&) {
        ++n_thrown;
      }
    }
    EXPECT_EQ(n_thrown, failing == kNever ? 0 : 1);
    EXPECT_EQ(cache.offset(), 8);
    return made;
  };
  const auto undisturbed = answer(kNever);
  ASSERT_EQ(undisturbed.size(), 4u);
  for (int failing = 0; failing < 7; ++failing) EXPECT_TRUE(answer(failing) == undisturbed) << failing;
}

TEST_F(SequenceTest, WithdrawForgetsAPassAndNothingOfSomebodyElse) {
  PromptCache cache = make_prompt_cache(model_);
  GenerateStepOptions options;
  options.prompt_cache = &cache;
  Sequence sequence = make(options);
  sequence.withdraw();
  read(sequence.pending());
  sequence.withdraw();
  EXPECT_EQ(cache.offset(), 0);
  read(sequence.pending());
  read({7, 8}, cache);
  sequence.withdraw();
  EXPECT_EQ(cache.offset(), 7) << "who read on is the one to take that back";
  test::expect_error(ErrorCode::kInvalidArgument, "got 7 tokens", [&] { sequence.pending(); });
}

// The tokens are what matters: who takes back what was read, or reads it again, harms nobody.
TEST_F(SequenceTest, ACacheThatSomebodyElseChangedIsRefusedUntilItIsAsBefore) {
  PromptCache cache = make_prompt_cache(model_);
  GenerateStepOptions options;
  options.prompt_cache = &cache;
  Sequence sequence = make(options);
  read(sequence.pending());
  ASSERT_TRUE(sequence.accept(logits_));
  const auto expect_refused = [&](const std::string& found) {
    test::expect_error(ErrorCode::kInvalidArgument,
                       "prompt_cache: expected the 5 tokens that this answer left in it, got " + found,
                       [&] { sequence.pending(); });
    EXPECT_TRUE(sequence.has_next());
  };
  read({7}, cache);
  expect_refused("6 tokens");
  cache.trim(2);
  expect_refused("4 tokens");
  read({6}, cache);
  expect_refused("5 others");
  cache.trim(1);
  read({5}, cache);
  read(sequence.pending());
  EXPECT_TRUE(sequence.accept(logits_));
}

TEST_F(SequenceTest, LogitsThatSayNothingAreAnError) {
  for (const float value : {NAN, -INFINITY}) {
    Sequence sequence = make({});
    sequence.pending();
    const std::vector<float> logits(512, value);
    test::expect_error(ErrorCode::kInvalidArgument, "", [&] { sequence.accept(logits); });
  }
}

}  // namespace
}  // namespace lille
