#include "generate/filters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "generate/golden.h"
#include "lille/sampler.h"

namespace lille {
namespace {

using nlohmann::json;
using test::golden_json;
using test::golden_tensors;
using test::values_of;

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

SamplerOptions sampler_options_of(const json& params) {
  SamplerOptions options{.temperature = params.value("temp", 1.0f)};
  options.top_p = params.value("top_p", 0.0f);
  options.min_p = params.value("min_p", 0.0f);
  options.min_tokens_to_keep = params.value("min_tokens_to_keep", int64_t{1});
  options.top_k = params.value("top_k", int64_t{0});
  options.xtc_probability = params.value("xtc_probability", 0.0f);
  options.xtc_threshold = params.value("xtc_threshold", 0.0f);
  options.xtc_special_tokens = params.value("xtc_special_tokens", std::vector<int32_t>{});
  return options;
}

std::vector<float> filtered(std::vector<float> logprobs, const SamplerOptions& options) {
  RandomState random(0);
  make_sampler(options, static_cast<int64_t>(logprobs.size())).filter(logprobs, random);
  return logprobs;
}

std::vector<uint8_t> kept_in(const std::vector<float>& logprobs) {
  std::vector<uint8_t> kept;
  for (const float logprob : logprobs) kept.push_back(logprob > kMinusInfinity);
  return kept;
}

std::vector<float> kept_values(const std::vector<float>& logprobs, const std::vector<uint8_t>& kept) {
  std::vector<float> values;
  for (size_t i = 0; i < kept.size(); ++i)
    if (kept[i] != 0) values.push_back(logprobs[i]);
  std::sort(values.begin(), values.end());
  return values;
}

void expect_untouched(const std::vector<float>& before, const std::vector<float>& after) {
  for (size_t i = 0; i < before.size(); ++i)
    EXPECT_TRUE(after[i] == before[i] || after[i] == kMinusInfinity) << i;
}

// --- Golden cases ---

// mlx sums in float32: where a border lies within this of a token, its choice hangs on rounding (golden
// README).
constexpr double kLeastMargin = 1e-5;

struct Counts {
  int equal = 0;
  int equal_but_ties = 0;
  int within_rounding = 0;
  int off = 0;
  int argmax = 0;
};

void check_set(const json& golden, const std::vector<float>& logprobs, const std::vector<uint8_t>& expected,
               Counts& counts) {
  const std::string id = golden.at("id");
  const std::vector<float> after = filtered(logprobs, sampler_options_of(golden.at("params")));
  expect_untouched(logprobs, after);
  const std::vector<uint8_t> kept = kept_in(after);
  const bool may_round = golden.at("function") == "apply_top_p" && golden.value("margin", 1.0) < kLeastMargin;
  if (kept == expected) {
    ++counts.equal;
  } else if (golden.value("tie_at_border", false) &&
             kept_values(logprobs, kept) == kept_values(logprobs, expected)) {
    ++counts.equal_but_ties;
  } else if (may_round) {
    ++counts.within_rounding;
    const auto n_kept = std::count(kept.begin(), kept.end(), 1);
    EXPECT_LE(std::abs(n_kept - golden.at("kept").get<int64_t>()), 1) << id;
    EXPECT_EQ(n_kept, std::max(golden.at("kept_by_float64").get<int64_t>(), int64_t{1})) << id;
  } else {
    ADD_FAILURE() << id << ": " << testing::PrintToString(kept) << " instead of "
                  << testing::PrintToString(expected);
  }
}

TEST(Filters, EqualMlxLm) {
  LILLE_NEED_SHARED();
  const SafetensorsFile tensors = golden_tensors("filters.safetensors");
  Counts counts;
  const json cases = golden_json("filters.json").at("cases");
  for (const json& golden : cases) {
    const std::string output = golden.at("output");
    const std::vector<float> logprobs = values_of<float>(tensors, golden.at("input"));
    const SamplerOptions options = sampler_options_of(golden.at("params"));
    if (options.temperature == 0) {
      std::vector<float> scratch = logprobs;
      RandomState random(0);
      const int32_t token = make_sampler(options, static_cast<int64_t>(logprobs.size()))(scratch, random);
      EXPECT_EQ(token, values_of<int32_t>(tensors, output)[0]) << output;
      ++counts.argmax;
    } else if (golden.at("function") == "apply_top_p" && options.top_p == 0) {
      // A direct call; in make_sampler, mlx-lm's and ours, 0 is off.
      EXPECT_EQ(filtered(logprobs, options), logprobs);
      ++counts.off;
    } else {
      check_set(golden, logprobs, values_of<uint8_t>(tensors, output), counts);
    }
  }
  EXPECT_EQ(cases.size(), 406u);
  EXPECT_EQ(counts.argmax, 14);
  EXPECT_EQ(counts.off, 14);
  EXPECT_EQ(counts.equal, 374);
  EXPECT_EQ(counts.equal_but_ties, 3);
  EXPECT_EQ(counts.within_rounding, 1);  // 331 equal tokens, top_p 1e-6: mlx keeps none, ours the best one.
}

// --- top-p against its definition ---

// In ascending order, stable, a token stays if the running sum that includes it is above 1 - top_p. The
// distance of the running sums to that border says whether rounding can decide.
std::vector<uint8_t> top_p_twin(const std::vector<float>& logprobs, double top_p, double& margin) {
  std::vector<size_t> order(logprobs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return logprobs[a] < logprobs[b]; });
  std::vector<uint8_t> kept(logprobs.size());
  double sum = 0;
  margin = 1;
  for (const size_t token : order) {
    sum += std::exp(static_cast<double>(logprobs[token]));
    kept[token] = sum > 1 - top_p;
    margin = std::min(margin, std::abs(sum - (1 - top_p)));
  }
  kept[order.back()] = 1;
  return kept;
}

std::vector<float> random_logprobs(size_t n, int kind, std::mt19937& numbers) {
  std::normal_distribution<float> normal(
      0, std::array{0.001f, 1.0f, 4.0f, 30.0f}[static_cast<size_t>(kind) % 4]);
  std::vector<float> logits(n);
  for (float& logit : logits) {
    logit = normal(numbers);
    if (kind >= 4) logit = std::round(logit);
    if (kind >= 8 && numbers() % 2 == 0) logit = kMinusInfinity;
  }
  logits[numbers() % n] = 1;
  log_softmax(logits);
  return logits;
}

TEST(TopP, EqualsItsDefinitionForAnyDistribution) {
  std::mt19937 numbers(3);
  int n_compared = 0;
  int n_skipped = 0;
  for (int round = 0; round < 60; ++round) {
    for (int kind = 0; kind < 12; ++kind) {
      const size_t n = round == 0 ? 32768 : 1 + numbers() % 3000;
      const std::vector<float> logprobs = random_logprobs(n, kind, numbers);
      for (const float top_p : {1e-6f, 0.05f, 0.5f, 0.9f, 0.95f, 0.999f}) {
        double margin = 0;
        const std::vector<uint8_t> expected = top_p_twin(logprobs, static_cast<double>(top_p), margin);
        if (margin < 2e-6) {
          ++n_skipped;
          continue;
        }
        std::vector<float> after = logprobs;
        apply_top_p(after, top_p);
        ASSERT_EQ(kept_in(after), expected) << "n " << n << " kind " << kind << " top_p " << top_p;
        ++n_compared;
      }
    }
  }
  EXPECT_GT(n_compared, 2 * n_skipped);
}

TEST(TopP, OfEqualTokensTheHigherIdsStay) {
  std::vector<float> logprobs(8, std::log(0.125f));
  apply_top_p(logprobs, 0.3f);
  EXPECT_EQ(kept_in(logprobs), (std::vector<uint8_t>{0, 0, 0, 0, 0, 1, 1, 1}));
}

TEST(TopP, TheLikeliestTokenAlwaysStays) {
  std::vector<float> logprobs(1000, std::log(1e-3f));
  apply_top_p(logprobs, 1e-30f);
  EXPECT_EQ(std::count(logprobs.begin(), logprobs.end(), kMinusInfinity), 999);
}

// --- The others ---

TEST(TopK, KeepsTheKLargestForAnyDistribution) {
  std::mt19937 numbers(4);
  for (int kind = 0; kind < 12; ++kind) {
    for (int round = 0; round < 20; ++round) {
      const size_t n = 1 + numbers() % 2000;
      const size_t top_k = 1 + numbers() % n;
      const std::vector<float> logprobs = random_logprobs(n, kind, numbers);
      std::vector<size_t> order(n);
      std::iota(order.begin(), order.end(), size_t{0});
      std::stable_sort(order.begin(), order.end(),
                       [&](size_t a, size_t b) { return logprobs[a] > logprobs[b]; });
      std::vector<float> expected(n, kMinusInfinity);
      for (size_t rank = 0; rank < top_k; ++rank) expected[order[rank]] = logprobs[order[rank]];
      std::vector<float> after = logprobs;
      apply_top_k(after, static_cast<int64_t>(top_k));
      ASSERT_EQ(after, expected) << n << " " << top_k << " kind " << kind;
    }
  }
}

TEST(TopK, ValuesOfAnySize) {
  const std::vector<float> descending = {3.4e38f, 1e38f,   1.0f,  1e-45f,   0.0f,
                                         -1e-45f, -1e-38f, -1.0f, -3.4e38f, kMinusInfinity};
  for (size_t top_k = 1; top_k <= descending.size(); ++top_k) {
    std::vector<float> values = descending;
    apply_top_k(values, static_cast<int64_t>(top_k));
    for (size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(values[i], i < top_k ? descending[i] : kMinusInfinity) << top_k;
  }
}

TEST(TopK, BothZerosAreOneValue) {
  std::vector<float> values = {-0.0f, 0.0f, -0.0f, -1.0f};
  apply_top_k(values, 2);
  EXPECT_EQ(kept_in(values), (std::vector<uint8_t>{1, 1, 0, 0}));
}

TEST(MinP, MinTokensToKeepIsALowerBound) {
  const std::vector<float> logprobs = {-4, -1, -3, -2, -2, kMinusInfinity};
  const auto kept = [&](float min_p, int64_t n) {
    std::vector<float> values = logprobs;
    apply_min_p(values, min_p, n);
    return kept_in(values);
  };
  EXPECT_EQ(kept(1.0f, 1), (std::vector<uint8_t>{0, 1, 0, 0, 0, 0}));
  EXPECT_EQ(kept(1.0f, 2), (std::vector<uint8_t>{0, 1, 0, 1, 0, 0}));
  EXPECT_EQ(kept(1.0f, 4), (std::vector<uint8_t>{0, 1, 1, 1, 1, 0}));
  EXPECT_EQ(kept(0.3f, 2), (std::vector<uint8_t>{0, 1, 0, 1, 1, 0}));
  EXPECT_EQ(kept(1e-30f, 1), (std::vector<uint8_t>{1, 1, 1, 1, 1, 0}));
  EXPECT_EQ(kept(1.0f, 100), (std::vector<uint8_t>{1, 1, 1, 1, 1, 0}));
}

TEST(Xtc, IsSkippedWhenItsNumberIsAboveTheProbability) {
  const std::vector<float> logprobs = {std::log(0.6f), std::log(0.3f), std::log(0.1f)};
  int n_applied = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const RandomKey key = random_key(seed);
    std::vector<float> values = logprobs;
    apply_xtc(values, 0.25f, 0.2f, {}, key);
    const bool is_applied = values[0] == kMinusInfinity;
    EXPECT_EQ(is_applied, uniform(key) <= 0.25f);
    n_applied += is_applied;
  }
  EXPECT_NEAR(n_applied, 500, 5 * std::sqrt(2000 * 0.25 * 0.75));
}

TEST(Xtc, SpecialTokensStay) {
  std::vector<float> logprobs = {std::log(0.4f), std::log(0.35f), std::log(0.25f)};
  const std::vector<int32_t> special = {0};
  apply_xtc(logprobs, 1, 0.1f, special, random_key(0));
  EXPECT_EQ(kept_in(logprobs), (std::vector<uint8_t>{1, 0, 1}));
}

}  // namespace
}  // namespace lille
