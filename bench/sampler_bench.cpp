#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "lille/sampler.h"

namespace lille {
namespace {

constexpr size_t kVocabSize = 32768;

// Two shapes of a language model's logits, tokens in random order: Zipf's law with exponent 1.2, where top-p
// 0.95 keeps thousands of tokens, and a peaked one (exponent 2), where it keeps about ten.
std::vector<float> zipf_logits(double exponent) {
  std::vector<float> logits(kVocabSize);
  for (size_t rank = 0; rank < kVocabSize; ++rank)
    logits[rank] = static_cast<float>(10 - exponent * std::log(static_cast<double>(rank + 1)));
  std::shuffle(logits.begin(), logits.end(), std::mt19937(1));
  return logits;
}

std::vector<float> flat_logits() {
  std::mt19937 numbers(2);
  std::normal_distribution<float> normal(0, 0.01f);
  std::vector<float> logits(kVocabSize);
  for (float& logit : logits) logit = normal(numbers);
  return logits;
}

void log_softmax_only(benchmark::State& state, const std::vector<float>& logits) {
  std::vector<float> scratch(logits.size());
  for (auto _ : state) {
    std::copy(logits.begin(), logits.end(), scratch.begin());
    log_softmax(scratch);
    benchmark::DoNotOptimize(scratch.data());
  }
}

// One draw from log-probabilities, their copying into the scratch included.
void draw(benchmark::State& state, std::vector<float> logprobs, const SamplerOptions& options) {
  log_softmax(logprobs);
  const Sampler sampler = make_sampler(options, static_cast<int64_t>(logprobs.size()));
  RandomState random(0);
  std::vector<float> scratch(logprobs.size());
  for (auto _ : state) {
    std::copy(logprobs.begin(), logprobs.end(), scratch.begin());
    benchmark::DoNotOptimize(sampler(scratch, random));
  }
  std::copy(logprobs.begin(), logprobs.end(), scratch.begin());
  sampler.filter(scratch, random);
  state.counters["kept"] = static_cast<double>(
      std::count_if(scratch.begin(), scratch.end(), [](float value) { return std::isfinite(value); }));
}

const SamplerOptions kTopP = {.temperature = 0.7f, .top_p = 0.95f};

BENCHMARK_CAPTURE(log_softmax_only, zipf, zipf_logits(1.2));
BENCHMARK_CAPTURE(draw, greedy_zipf, zipf_logits(1.2), {});
BENCHMARK_CAPTURE(draw, temperature_zipf, zipf_logits(1.2), {.temperature = 0.7f});
BENCHMARK_CAPTURE(draw, top_p_zipf, zipf_logits(1.2), kTopP);
BENCHMARK_CAPTURE(draw, top_p_peaked, zipf_logits(2), kTopP);
BENCHMARK_CAPTURE(draw, top_p_flat, flat_logits(), kTopP);
BENCHMARK_CAPTURE(draw, top_k_zipf, zipf_logits(1.2), {.temperature = 0.7f, .top_k = 40});
BENCHMARK_CAPTURE(draw, min_p_zipf, zipf_logits(1.2), {.temperature = 0.7f, .min_p = 0.05f});
BENCHMARK_CAPTURE(draw, all_zipf, zipf_logits(1.2),
                  {.temperature = 0.7f,
                   .top_p = 0.95f,
                   .min_p = 0.01f,
                   .top_k = 40,
                   .xtc_probability = 0.5f,
                   .xtc_threshold = 0.1f});

}  // namespace
}  // namespace lille

BENCHMARK_MAIN();
