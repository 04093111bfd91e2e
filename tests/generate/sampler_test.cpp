#include "lille/sampler.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "generate/golden.h"

namespace lille {
namespace {

using test::expect_error;
using test::golden_tensors;
using test::kInfinity;
using test::kNaN;
using test::values_of;

void expect_refused(const SamplerOptions& options, const char* part) {
  expect_error(ErrorCode::kInvalidArgument, part, [&] { make_sampler(options, 64); });
}

std::vector<float> logprobs_of(std::vector<float> logits) {
  log_softmax(logits);
  return logits;
}

// --- Seeded draws of the real sampler ---

struct NamedOptions {
  const char* name;
  SamplerOptions options;
};

std::vector<NamedOptions> golden_samplers() {
  return {{"t1", {.temperature = 1}},
          {"t0.7_p0.9", {.temperature = 0.7f, .top_p = 0.9f}},
          {"t0.8_m0.05_k20", {.temperature = 0.8f, .min_p = 0.05f, .top_k = 20}},
          {"t1_xtc0.5", {.temperature = 1, .xtc_probability = 0.5f, .xtc_threshold = 0.05f}}};
}

TEST(Sampler, SeededDrawsEqualMlxLm) {
  LILLE_NEED_SHARED();
  const SafetensorsFile inputs = golden_tensors("filters.safetensors");
  const SafetensorsFile golden = golden_tensors("random.safetensors");
  int n_draws = 0;
  for (const auto& [name, options] : golden_samplers()) {
    for (const std::string input : {"v64.random", "v331.flat_random", "v64.neg_inf"}) {
      const std::vector<float> logprobs = values_of<float>(inputs, input + ".logprobs");
      const Sampler sampler = make_sampler(options, static_cast<int64_t>(logprobs.size()));
      for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{42}, (uint64_t{1} << 33) + 5}) {
        RandomState random(seed);
        std::vector<int32_t> drawn;
        for (int draw = 0; draw < 24; ++draw) {
          std::vector<float> scratch = logprobs;
          drawn.push_back(sampler(scratch, random));
        }
        EXPECT_EQ(drawn, values_of<int32_t>(golden, fmt::format("draws.{}.{}.{}", name, input, seed)))
            << name << input << seed;
        n_draws += static_cast<int>(drawn.size());
      }
    }
  }
  EXPECT_EQ(n_draws, 1152);
}

// --- Values and state ---

TEST(Sampler, EqualSeedsGiveEqualTokensWhateverElseRuns) {
  const Sampler sampler = make_sampler({.temperature = 1, .top_p = 0.9f, .xtc_probability = 0.5f}, 8);
  const std::vector<float> logprobs = logprobs_of({0, 1, 2, 3, 2, 1, 0, -1});
  RandomState alone(9);
  RandomState beside(9);
  RandomState other(10);
  for (int step = 0; step < 50; ++step) {
    std::vector<float> first = logprobs;
    std::vector<float> second = logprobs;
    std::vector<float> third = logprobs;
    const int32_t token = sampler(first, alone);
    sampler(third, other);
    EXPECT_EQ(sampler(second, beside), token);
  }
}

TEST(Sampler, ACopyOutlivesTheOriginal) {
  auto original = std::make_unique<Sampler>(
      make_sampler({.temperature = 1, .top_k = 1, .xtc_probability = 1, .xtc_special_tokens = {1, 1, 0}}, 3));
  const Sampler copy = *original;
  original.reset();
  std::vector<float> logprobs = logprobs_of({0, 1, 5});
  RandomState random(0);
  EXPECT_EQ(copy(logprobs, random), 1);  // XTC leaves the least likely token, 0, and its special ones.
}

TEST(Sampler, TheStateAdvancesByTheKeysUsed) {
  const std::vector<float> logprobs = logprobs_of({0, 1, 2});
  const auto n_keys = [&](const SamplerOptions& options) {
    RandomState random(3);
    std::vector<float> scratch = logprobs;
    make_sampler(options, 3)(scratch, random);
    RandomState expected(3);
    int keys = 0;
    for (; !(expected == random); ++keys) expected.next();
    return keys;
  };
  EXPECT_EQ(n_keys({.temperature = 0}), 0);
  EXPECT_EQ(n_keys({.temperature = 1}), 1);
  EXPECT_EQ(n_keys({.temperature = 1, .top_p = 0.5f, .top_k = 1}), 1);
  EXPECT_EQ(n_keys({.temperature = 1, .xtc_probability = 0.1f}), 2);
}

TEST(Sampler, TemperatureZeroTakesTheLowestOfTheBest) {
  RandomState random(0);
  std::vector<float> logprobs = {-3, -1, -2, -1, -kInfinity};
  EXPECT_EQ(make_sampler({.temperature = 0}, 5)(logprobs, random), 1);
  EXPECT_EQ(make_sampler({.temperature = -0.0f, .top_k = 1, .xtc_probability = 1}, 5)(logprobs, random), 1);
  EXPECT_EQ(random, RandomState(0));
  EXPECT_TRUE(make_sampler({}, 5).is_greedy());
  EXPECT_FALSE(make_sampler({.temperature = 1e-45f}, 5).is_greedy());
}

TEST(Sampler, MinusZeroSwitchesOff) {
  const SamplerOptions options = {
      .temperature = 1, .top_p = -0.0f, .min_p = -0.0f, .xtc_probability = -0.0f, .xtc_threshold = -0.0f};
  std::vector<float> logprobs = logprobs_of({0, -30});
  RandomState random(0);
  make_sampler(options, 2).filter(logprobs, random);
  EXPECT_GT(logprobs[1], -kInfinity);
  EXPECT_EQ(random, RandomState(0));
}

// --- Bad input ---

TEST(MakeSampler, BadNumbersAreRefused) {
  for (const float bad :
       {kNaN, -kNaN, kInfinity, -kInfinity, -1.0f, -1e-45f, -std::numeric_limits<float>::max()}) {
    expect_refused({.temperature = bad}, "temperature: expected a finite number >= 0, got ");
    expect_refused({.temperature = 1, .top_p = bad}, "top_p: expected a number in [0, 1], got ");
    expect_refused({.temperature = 1, .min_p = bad}, "min_p: expected a number in [0, 1], got ");
    expect_refused({.temperature = 1, .xtc_probability = bad},
                   "xtc_probability: expected a number in [0, 1], got ");
    expect_refused({.temperature = 1, .xtc_threshold = bad},
                   "xtc_threshold: expected a number in [0, 0.5], got ");
  }
  const float above_one = std::nextafter(1.0f, 2.0f);
  expect_refused({.top_p = above_one}, "top_p");
  expect_refused({.min_p = above_one}, "min_p");
  expect_refused({.xtc_probability = above_one}, "xtc_probability");
  expect_refused({.xtc_threshold = std::nextafter(0.5f, 1.0f)}, "xtc_threshold");
  expect_refused({.top_p = 2}, "got 2. Hint: ");
}

TEST(MakeSampler, BadIntegersAreRefused) {
  constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
  for (const int64_t bad : {int64_t{-1}, kLowest}) {
    expect_refused({.min_tokens_to_keep = bad}, "min_tokens_to_keep: expected an integer >= 1, got -");
    expect_refused({.top_k = bad}, "top_k: expected an integer >= 0, got -");
    expect_error(ErrorCode::kInvalidArgument, "vocab_size", [&] { make_sampler({}, bad); });
  }
  expect_refused({.min_tokens_to_keep = 0}, "got 0");
  expect_error(ErrorCode::kInvalidArgument, "vocab_size", [] { make_sampler({}, 0); });
  for (const int32_t bad : {-1, 64, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()})
    expect_refused({.xtc_special_tokens = {63, bad}},
                   "xtc_special_tokens: expected token ids in [0, 64), got ");
}

TEST(MakeSampler, HugeIntegersKeepEverything) {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  std::vector<float> logprobs = logprobs_of({0, 1, 2});
  RandomState random(0);
  make_sampler({.temperature = 1, .min_p = 1, .min_tokens_to_keep = kHuge, .top_k = kHuge}, 3)
      .filter(logprobs, random);
  for (const float logprob : logprobs) EXPECT_GT(logprob, -kInfinity);
}

TEST(Sampler, BadLogprobsAreErrorsOfThatCallOnly) {
  for (const SamplerOptions& options :
       {SamplerOptions{}, SamplerOptions{.temperature = 1},
        SamplerOptions{.temperature = 1, .top_p = 0.9f, .min_p = 0.1f, .top_k = 2}}) {
    const Sampler sampler = make_sampler(options, 4);
    RandomState random(1);
    const auto refuse = [&](std::vector<float> values, const char* part) {
      expect_error(ErrorCode::kInvalidArgument, part, [&] { sampler(values, random); });
    };
    refuse({-kInfinity, -kInfinity, -kInfinity, -kInfinity}, "got none of 4");
    refuse({kNaN, kNaN, kNaN, kNaN}, "got nan for token 0");
    refuse({-1, kNaN, -1, -1}, "got nan for token 1");
    refuse({-1, -1, -1, kInfinity}, "got inf for token 3");
    EXPECT_EQ(random, RandomState(1));
    std::vector<float> good = {-kInfinity, 0, -kInfinity, -kInfinity};
    EXPECT_EQ(sampler(good, random), 1);
  }
}

TEST(Sampler, AnotherNumberOfLogprobsIsAnError) {
  const Sampler sampler = make_sampler({.temperature = 1}, 4);
  RandomState random(0);
  for (const size_t n : {0, 3, 5}) {
    std::vector<float> values(n, -1.0f);
    expect_error(ErrorCode::kInvalidShape, fmt::format("expected (4), got ({})", n),
                 [&] { sampler(values, random); });
  }
}

// --- A callable in the sampler's place ---

TEST(CustomSampler, TakesWhatTheCallableChoosesFromTheLogprobs) {
  const std::vector<float> logprobs = logprobs_of({0, 3, 1, 2});
  std::vector<float> seen;
  const Sampler sampler = make_custom_sampler(
      [&seen](std::span<const float> values) {
        seen.assign(values.begin(), values.end());
        return 2;
      },
      4);
  EXPECT_FALSE(sampler.is_greedy());
  RandomState random(3);
  std::vector<float> values = logprobs;
  EXPECT_EQ(sampler(values, random), 2);
  EXPECT_EQ(seen, logprobs);
  EXPECT_EQ(random, RandomState(3));
}

TEST(CustomSampler, WhatIsNoTokenOrIsExcludedIsRefused) {
  RandomState random(0);
  for (const int32_t token : {-1, 4, std::numeric_limits<int32_t>::max()}) {
    const Sampler sampler = make_custom_sampler([token](std::span<const float>) { return token; }, 4);
    std::vector<float> values = logprobs_of({0, 1, 2, 3});
    expect_error(ErrorCode::kInvalidArgument, fmt::format("[0, 4), got {}", token),
                 [&] { sampler(values, random); });
  }
  const Sampler sampler = make_custom_sampler([](std::span<const float>) { return 1; }, 4);
  std::vector<float> values = {0, -kInfinity, -kInfinity, -kInfinity};
  expect_error(ErrorCode::kInvalidArgument, "got 1 at -inf", [&] { sampler(values, random); });
}

TEST(CustomSampler, AnEmptyCallableAndNoLogitsAreRefused) {
  expect_error(ErrorCode::kInvalidArgument, "expected a function", [] { make_custom_sampler({}, 4); });
  expect_error(ErrorCode::kInvalidArgument, "vocab_size",
               [] { make_custom_sampler([](std::span<const float>) { return 0; }, 0); });
}

}  // namespace
}  // namespace lille
