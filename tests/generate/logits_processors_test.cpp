#include "lille/logits_processors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "generate/golden.h"

namespace lille {
namespace {

using nlohmann::json;
using test::expect_error;
using test::golden_json;
using test::golden_tensors;
using test::kInfinity;
using test::kNaN;
using test::values_of;

LogitsProcessorOptions processor_options_of(const json& params) {
  LogitsProcessorOptions options;
  const json biases = params.value("logit_bias", json::object());
  for (const auto& [token, bias] : biases.items())
    options.logit_bias[std::stoi(token)] = bias.is_string() ? -kInfinity : bias.get<float>();
  options.repetition_penalty = params.value("repetition_penalty", 0.0f);
  options.repetition_context_size = params.value("repetition_context_size", int64_t{20});
  options.presence_penalty = params.value("presence_penalty", 0.0f);
  options.presence_context_size = params.value("presence_context_size", int64_t{20});
  options.frequency_penalty = params.value("frequency_penalty", 0.0f);
  options.frequency_context_size = params.value("frequency_context_size", int64_t{20});
  return options;
}

std::vector<float> processed(const LogitsProcessorOptions& options, const std::vector<int32_t>& tokens,
                             std::vector<float> logits) {
  LogitsProcessors processors = make_logits_processors(options, static_cast<int64_t>(logits.size()));
  processors.process(tokens, logits);
  return logits;
}

void expect_refused(const LogitsProcessorOptions& options, const char* part) {
  expect_error(ErrorCode::kInvalidArgument, part, [&] { make_logits_processors(options, 64); });
}

TEST(LogitsProcessors, EqualMlxLm) {
  LILLE_NEED_SHARED();
  const SafetensorsFile tensors = golden_tensors("processors.safetensors");
  const json cases = golden_json("processors.json").at("cases");
  EXPECT_EQ(cases.size(), 256u);
  for (const json& golden : cases) {
    const LogitsProcessorOptions options = processor_options_of(golden.at("params"));
    const std::vector<float> logits = values_of<float>(tensors, golden.at("logits"));
    const std::vector<int32_t> tokens = values_of<int32_t>(tensors, golden.at("tokens"));
    EXPECT_EQ(make_logits_processors(options, 64).size(), golden.at("number_of_processors").get<size_t>());
    EXPECT_EQ(processed(options, tokens, logits), values_of<float>(tensors, golden.at("output")))
        << golden.at("id");
  }
}

TEST(LogitsProcessors, TheContextIsTheEndOfAllTokens) {
  const std::vector<int32_t> tokens = {0, 1, 1, 2};
  const std::vector<float> logits(4, 0.0f);
  const auto penalised = [&](int64_t context_size) {
    return processed({.frequency_penalty = 1, .frequency_context_size = context_size}, tokens, logits);
  };
  EXPECT_EQ(penalised(1), (std::vector<float>{0, 0, -1, 0}));
  EXPECT_EQ(penalised(2), (std::vector<float>{0, -1, -1, 0}));
  EXPECT_EQ(penalised(4), (std::vector<float>{-1, -2, -1, 0}));
  EXPECT_EQ(penalised(0), (std::vector<float>{-1, -2, -1, 0}));
  EXPECT_EQ(penalised(std::numeric_limits<int64_t>::max()), (std::vector<float>{-1, -2, -1, 0}));
}

TEST(LogitsProcessors, ASecondCallSeesNothingOfTheFirst) {
  LogitsProcessors processors = make_logits_processors({.repetition_penalty = 2, .presence_penalty = 1}, 3);
  for (int call = 0; call < 3; ++call) {
    std::vector<float> logits = {4, -4, 4};
    processors.process(std::vector<int32_t>{0, 1, 0}, logits);
    EXPECT_EQ(logits, (std::vector<float>{1, -9, 4}));
  }
}

// --- Callables, state, copies ---

TEST(LogitsProcessors, CallablesRunAfterWhatWasAddedBefore) {
  LogitsProcessors processors = make_logits_processors({.logit_bias = {{0, 3.0f}}}, 2);
  processors.add(make_processor([](std::span<const int32_t> tokens, std::span<float> logits) {
    logits[1] = logits[0] + static_cast<float>(tokens.size());
  }));
  std::vector<float> logits = {1, 0};
  processors.process(std::vector<int32_t>{1, 1}, logits);
  EXPECT_EQ(logits, (std::vector<float>{4, 6}));
  EXPECT_EQ(LogitsProcessors(processors).size(), 2u);
  expect_error(ErrorCode::kInvalidArgument, "callable", [] { make_processor(nullptr); });
}

// Allows only the token after the last one it consumed, as a grammar with a position would.
class Counter : public LogitsProcessor {
 public:
  void process(std::span<const int32_t> tokens, std::span<float> logits) override {
    for (; n_consumed_ < static_cast<int64_t>(tokens.size()); ++n_consumed_)
      state_.push_back(tokens[static_cast<size_t>(n_consumed_)]);
    for (size_t token = 0; token < logits.size(); ++token)
      if (static_cast<int32_t>(token) != state_.back() + 1) logits[token] = -kInfinity;
  }
  void rollback(int64_t n_tokens) override {
    n_consumed_ = std::min(n_consumed_, n_tokens);
    state_.resize(static_cast<size_t>(n_consumed_));
  }
  std::unique_ptr<LogitsProcessor> clone() const override { return std::make_unique<Counter>(*this); }

 private:
  int64_t n_consumed_ = 0;
  std::vector<int32_t> state_;
};

int32_t only_allowed(LogitsProcessors& processors, const std::vector<int32_t>& tokens) {
  std::vector<float> logits(10, 0.0f);
  processors.process(tokens, logits);
  EXPECT_EQ(std::count(logits.begin(), logits.end(), 0.0f), 1);
  return static_cast<int32_t>(std::find(logits.begin(), logits.end(), 0.0f) - logits.begin());
}

TEST(LogitsProcessors, StateIsRolledBackAndCopied) {
  LogitsProcessors processors;
  processors.add(nullptr);
  EXPECT_TRUE(processors.empty());
  processors.add(std::make_unique<Counter>());
  EXPECT_EQ(only_allowed(processors, {3, 4, 5}), 6);
  LogitsProcessors copy = processors;
  EXPECT_EQ(only_allowed(copy, {3, 4, 5, 8}), 9);
  EXPECT_EQ(only_allowed(processors, {3, 4, 5, 6}), 7);
  processors.rollback(2);
  EXPECT_EQ(only_allowed(processors, {3, 4, 0}), 1);
  copy = processors;
  EXPECT_EQ(only_allowed(copy, {3, 4, 0, 1}), 2);
}

// --- Bad input ---

TEST(MakeLogitsProcessors, BadNumbersAreRefused) {
  for (const float bad : {kNaN, -kNaN, kInfinity, -kInfinity}) {
    expect_refused({.repetition_penalty = bad}, "repetition_penalty: expected a finite number >= 0, got ");
    expect_refused({.presence_penalty = bad}, "presence_penalty: expected a finite number, got ");
    expect_refused({.frequency_penalty = bad}, "frequency_penalty: expected a finite number, got ");
  }
  for (const float bad : {-1.0f, -0.1f, -1e-45f})
    expect_refused({.repetition_penalty = bad}, "repetition_penalty: expected a finite number >= 0, got -");
  for (const float bad : {kNaN, -kNaN, kInfinity}) expect_refused({.logit_bias = {{5, bad}}}, "for token 5");
}

TEST(MakeLogitsProcessors, BadIntegersAreRefused) {
  for (const int64_t bad : {int64_t{-1}, std::numeric_limits<int64_t>::min()}) {
    expect_refused({.repetition_context_size = bad},
                   "repetition_context_size: expected an integer >= 0, got -");
    expect_refused({.presence_context_size = bad}, "presence_context_size: expected an integer >= 0, got -");
    expect_refused({.frequency_context_size = bad},
                   "frequency_context_size: expected an integer >= 0, got -");
    expect_error(ErrorCode::kInvalidArgument, "vocab_size", [&] { make_logits_processors({}, bad); });
  }
  expect_error(ErrorCode::kInvalidArgument, "vocab_size", [] { make_logits_processors({}, 0); });
  for (const int32_t bad : {-1, 64, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()})
    expect_refused({.logit_bias = {{bad, 1.0f}}}, "logit_bias: expected token ids in [0, 64), got ");
}

TEST(MakeLogitsProcessors, MinusZeroAndZeroSwitchOff) {
  EXPECT_TRUE(make_logits_processors({}, 64).empty());
  EXPECT_TRUE(make_logits_processors(
                  {.repetition_penalty = -0.0f, .presence_penalty = -0.0f, .frequency_penalty = -0.0f}, 64)
                  .empty());
}

TEST(LogitsProcessors, TokensWithoutALogitAreErrors) {
  for (const int32_t bad :
       {-1, 4, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min()}) {
    expect_error(ErrorCode::kInvalidArgument, "tokens: expected ids in [0, 4), got ", [&] {
      processed({.presence_penalty = 1}, {0, bad}, {0, 0, 0, 0});
    });
  }
  LogitsProcessors processors = make_logits_processors({.logit_bias = {{3, 1.0f}}}, 4);
  std::vector<float> short_logits(3);
  expect_error(ErrorCode::kInvalidShape, "expected (4), got (3)",
               [&] { processors.process({}, short_logits); });
}

}  // namespace
}  // namespace lille
