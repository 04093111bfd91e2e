#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "lille/grammar.h"
#include "lille/tokenizer.h"

// What a grammar costs beside a forward pass: a mask over the vocabulary before each token of a document.
// Every iteration begins with a processor that knows nothing yet, as an answer does.

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kModel = "models/lille-tiny-8bit";

// {"name": ..., "tags": [...]}, as long as an answer in Lille's context is.
constexpr const char* kDocument =
    R"({"name": "A glacier is a river of ice", "height": 1250.5, "tags": ["ice", "slow", "cold"], "parts": )"
    R"([{"name": "snout", "height": -3}, {"name": "The place where it begins \u2014 high up", "height": 20}]})";

constexpr const char* kPlainSchema =
    R"({"$ref":"#/$defs/part","$defs":{"part":{"type":"object","properties":{"name":{"type":"string"},)"
    R"("height":{"type":"number"},"tags":{"type":"array","items":{"type":"string"}},)"
    R"("parts":{"type":"array","items":{"$ref":"#/$defs/part"}}},"required":["name","height"],)"
    R"("additionalProperties":false}}})";

// Every character of a bounded text is a state of its own.
constexpr const char* kBoundedSchema =
    R"({"$ref":"#/$defs/part","$defs":{"part":{"type":"object","properties":{"name":{"type":"string",)"
    R"("maxLength":200},"height":{"type":"number"},"tags":{"type":"array","items":{"type":"string",)"
    R"("maxLength":20},"maxItems":9},"parts":{"type":"array","items":{"$ref":"#/$defs/part"}}},)"
    R"("required":["name","height"],"additionalProperties":false}}})";

void run(benchmark::State& state, const lille::Grammar& grammar) {
  const lille::Tokenizer tokenizer = lille::Tokenizer::load(kModel);
  std::vector<int32_t> tokens = tokenizer.encode(kDocument);
  tokens.insert(tokens.begin(), tokenizer.bos_token_id());
  // The trie of the tokenizer is made by the first of all answers.
  lille::make_grammar_processor(grammar, tokenizer);
  std::vector<float> logits(static_cast<std::size_t>(tokenizer.vocab_size()));
  std::vector<double> times_us;
  for (auto unused : state) {
    const auto processor = lille::make_grammar_processor(grammar, tokenizer);
    for (std::size_t n_tokens = 1; n_tokens <= tokens.size(); ++n_tokens) {
      const Clock::time_point start = Clock::now();
      processor->process(std::span(tokens).first(n_tokens), logits);
      times_us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
    }
  }
  std::ranges::sort(times_us);
  state.counters["tokens"] = static_cast<double>(tokens.size());
  state.counters["median_us"] = times_us[times_us.size() / 2];
  state.counters["p99_us"] = times_us[times_us.size() * 99 / 100];
  state.counters["max_us"] = times_us.back();
}

void AnyObject(benchmark::State& state) {
  run(state, lille::Grammar::from_json_schema(R"({"type":"object"})"));
}
void Schema(benchmark::State& state) { run(state, lille::Grammar::from_json_schema(kPlainSchema)); }
void BoundedTexts(benchmark::State& state) { run(state, lille::Grammar::from_json_schema(kBoundedSchema)); }

void Compile(benchmark::State& state) {
  for (auto unused : state) benchmark::DoNotOptimize(lille::Grammar::from_json_schema(kBoundedSchema));
}

BENCHMARK(AnyObject)->Unit(benchmark::kMillisecond);
BENCHMARK(Schema)->Unit(benchmark::kMillisecond);
BENCHMARK(BoundedTexts)->Unit(benchmark::kMillisecond);
BENCHMARK(Compile)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
