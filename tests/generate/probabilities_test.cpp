#include "generate/probabilities.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "generate/golden.h"
#include "lille/sampler.h"

namespace lille {
namespace {

using test::expect_error;
using test::golden_tensors;
using test::kInfinity;
using test::kNaN;
using test::values_of;

float max_of(const std::vector<float>& values) { return *std::max_element(values.begin(), values.end()); }

int32_t draw(std::vector<float> values, float temperature, RandomKey key) {
  const float max = max_of(values);
  return categorical(values, max, temperature, key);
}

// Keys whose uniform number is `count` steps of 2^-24 below 1, or as near above 0, are too rare to search
// for; the rule is restated with the number as an argument instead, in float64 and by a plain scan.
int32_t categorical_twin(const std::vector<float>& values, float temperature, float number) {
  const double max = static_cast<double>(max_of(values));
  std::vector<double> exclusive = {0};
  for (const float value : values)
    exclusive.push_back(exclusive.back() +
                        std::exp((static_cast<double>(value) - max) / static_cast<double>(temperature)));
  const double border = static_cast<double>(number) * exclusive.back();
  exclusive.pop_back();
  int32_t n_not_above = 0;
  for (const double entry : exclusive) n_not_above += entry <= border;
  return n_not_above - 1;
}

TEST(Exp, WithinTwoUnitsInTheLastPlace) {
  double largest = 0;
  for (float x = -87.2f; x <= 88.0f; x += 0.000731f) {
    const double exact = std::exp(static_cast<double>(x));
    const double unit = std::ldexp(1.0, std::ilogb(exact) - 23);
    largest = std::max(largest, std::abs(static_cast<double>(exp_f32(x)) - exact) / unit);
  }
  EXPECT_LE(largest, 2.0);
  EXPECT_EQ(exp_f32(0.0f), 1.0f);
  EXPECT_EQ(exp_f32(-0.0f), 1.0f);
  EXPECT_EQ(exp_f32(-87.4f), 0.0f);
  EXPECT_EQ(exp_f32(-std::numeric_limits<float>::max()), 0.0f);
  EXPECT_EQ(exp_f32(-kInfinity), 0.0f);
}

TEST(LogSoftmax, EqualsMlx) {
  LILLE_NEED_SHARED();
  const SafetensorsFile golden = golden_tensors("filters.safetensors");
  for (const std::string vocab : {"v64", "v331"}) {
    for (const std::string kind :
         {"random", "flat_random", "ties", "neg_inf", "dominating", "equal", "three_left"}) {
      const std::vector<float> logits = values_of<float>(golden, fmt::format("{}.{}.logits", vocab, kind));
      const std::vector<float> expected =
          values_of<float>(golden, fmt::format("{}.{}.logprobs", vocab, kind));
      std::vector<float> logprobs = logits;
      log_softmax(logprobs);
      for (size_t i = 0; i < logits.size(); ++i) {
        if (expected[i] == -kInfinity) {
          EXPECT_EQ(logprobs[i], -kInfinity) << kind << i;
          continue;
        }
        // mlx rounds the logsumexp, which is at most |logit| + |logprob|, and the result to float32, and its
        // sum is a few units off.
        const float size = std::abs(logits[i]) + 2 * std::abs(expected[i]) + 2;
        EXPECT_NEAR(logprobs[i], expected[i], size * 0x1p-24f * 2) << vocab << kind << i;
      }
    }
  }
}

TEST(LogSoftmax, ProbabilitiesSumToOneAtEveryLength) {
  std::mt19937 numbers(1);
  std::normal_distribution<float> normal(0, 4);
  for (const size_t n : {1, 2, 15, 16, 17, 255, 256, 257, 32768}) {
    std::vector<float> logits(n);
    for (float& logit : logits) logit = normal(numbers) + 100;
    log_softmax(logits);
    double sum = 0;
    for (const float logprob : logits) sum += std::exp(static_cast<double>(logprob));
    EXPECT_NEAR(sum, 1.0, 1e-6) << n;
  }
}

TEST(LogSoftmax, HugeLogits) {
  std::vector<float> logits = {3e38f, -3e38f, 3e38f, -kInfinity};
  log_softmax(logits);
  EXPECT_EQ(logits[3], -kInfinity);
  EXPECT_FALSE(std::isnan(logits[0]) || std::isnan(logits[1]));
}

TEST(LogSoftmax, BadLogitsAreErrors) {
  for (const size_t n : {1, 16, 40}) {
    std::vector<float> all_excluded(n, -kInfinity);
    expect_error(ErrorCode::kInvalidArgument, "got none of", [&] { log_softmax(all_excluded); });
    for (const float bad : {kNaN, -kNaN, kInfinity}) {
      std::vector<float> all_bad(n, bad);
      expect_error(ErrorCode::kInvalidArgument, "for token 0", [&] { log_softmax(all_bad); });
      std::vector<float> last_bad(n, 1.0f);
      last_bad.back() = bad;
      expect_error(ErrorCode::kInvalidArgument, fmt::format("for token {}", n - 1),
                   [&] { log_softmax(last_bad); });
    }
  }
  expect_error(ErrorCode::kInvalidArgument, "none of 0", [] { log_softmax({}); });
}

TEST(Categorical, EqualsMlx) {
  LILLE_NEED_SHARED();
  const SafetensorsFile inputs = golden_tensors("filters.safetensors");
  const SafetensorsFile golden = golden_tensors("random.safetensors");
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{42}, (uint64_t{1} << 33) + 5}) {
    for (const std::string input : {"v64.random", "v331.flat_random", "v64.neg_inf"}) {
      const int32_t expected =
          values_of<int32_t>(golden, fmt::format("categorical_key.{}.{}", input, seed))[0];
      EXPECT_EQ(draw(values_of<float>(inputs, input + ".logits"), 1, random_key(seed)), expected)
          << input << seed;
    }
  }
}

TEST(Categorical, EqualsTheRuleAtEveryLengthAndTemperature) {
  std::mt19937 numbers(2);
  std::normal_distribution<float> normal(0, 3);
  int n_different = 0;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    std::vector<float> values(1 + numbers() % 1000);
    for (float& value : values) value = numbers() % 3 == 0 ? -kInfinity : normal(numbers);
    values[numbers() % values.size()] = 2;
    const float temperature = std::array{0.3f, 1.0f, 2.0f}[seed % 3];
    const int32_t drawn = draw(values, temperature, random_key(seed));
    ASSERT_GE(drawn, 0);
    ASSERT_LT(drawn, static_cast<int32_t>(values.size()));
    ASSERT_NE(values[static_cast<size_t>(drawn)], -kInfinity);
    n_different += drawn != categorical_twin(values, temperature, uniform(random_key(seed)));
  }
  // A weight is exact to 1e-7, a border lies within that of u in less than one draw in 10,000 of up to 1,000
  // tokens.
  EXPECT_LE(n_different, 4);
}

// The share of each token in many draws, against its probability, by five standard deviations.
TEST(Categorical, DrawsTheDistribution) {
  const std::vector<float> weights = {0.0f, 0.1f, 0.4f, 0.0f, 0.3f, 0.2f, 0.0f};
  std::vector<float> logits;
  for (const float weight : weights) logits.push_back(std::log(weight));
  constexpr int kDraws = 200000;
  std::vector<int> counts(weights.size());
  RandomState random(11);
  for (int i = 0; i < kDraws; ++i) ++counts[static_cast<size_t>(draw(logits, 1, random.next()))];
  for (size_t token = 0; token < weights.size(); ++token) {
    const double share = static_cast<double>(weights[token]);
    EXPECT_NEAR(counts[token], kDraws * share, 5 * std::sqrt(kDraws * share * (1 - share)));
  }
}

TEST(Categorical, TenMillionDrawsStayInRange) {
  const std::array<float, 5> logits = {-kInfinity, 0.0f, -20.0f, 1.0f, -kInfinity};
  RandomState random(2024);
  std::array<int64_t, 5> counts{};
  int64_t n_out_of_range = 0;
  for (int i = 0; i < 10'000'000; ++i) {
    std::array<float, 5> values = logits;
    const int32_t token = categorical(values, 1.0f, 1.0f, random.next());
    if (token < 0 || token > 4) {
      ++n_out_of_range;
    } else {
      ++counts[static_cast<size_t>(token)];
    }
  }
  EXPECT_EQ(n_out_of_range, 0);
  EXPECT_EQ(counts[0], 0);
  EXPECT_EQ(counts[4], 0);
  EXPECT_GT(counts[1], 2'600'000);
  EXPECT_GT(counts[3], 7'200'000);
}

TEST(Categorical, ExtremeTemperatures) {
  const std::vector<float> logits = {-1.0f, 2.0f, -kInfinity, 1.999f};
  RandomState random(5);
  for (int i = 0; i < 200; ++i) {
    for (const float temperature : {1e-45f, 1e-38f, 1e-5f})
      EXPECT_EQ(draw(logits, temperature, random.next()), 1);
    for (const float temperature : {1e5f, std::numeric_limits<float>::max()})
      EXPECT_NE(draw(logits, temperature, random.next()), 2);
  }
}

}  // namespace
}  // namespace lille
