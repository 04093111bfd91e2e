#include <map>
#include <nlohmann/json.hpp>

#include "lille/generate.h"
#include "model/golden.h"

namespace lille {
namespace {

// The biases and penalties of a case. mlx-lm's see the prompt's last token and what was generated, ours the
// whole prompt, so they are shown what mlx-lm shows.
LogitsProcessors processors_of(const nlohmann::json& params, std::size_t n_prompt, int64_t vocab_size) {
  LogitsProcessorOptions options;
  options.repetition_penalty = params.value("repetition_penalty", 0.0F);
  options.presence_penalty = params.value("presence_penalty", 0.0F);
  options.frequency_penalty = params.value("frequency_penalty", 0.0F);
  const auto biases = params.value("logit_bias", std::map<std::string, float>());
  for (const auto& [id, bias] : biases) options.logit_bias[std::stoi(id)] = bias;
  LogitsProcessors ours = make_logits_processors(options, vocab_size);
  LogitsProcessors all;
  if (ours.empty()) return all;
  all.add(make_processor([ours, n_prompt](std::span<const int32_t> tokens, std::span<float> logits) mutable {
    ours.process(tokens.subspan(n_prompt - 1), logits);
  }));
  return all;
}

GenerateStepOptions options_of(const nlohmann::json& run, int64_t vocab_size) {
  const nlohmann::json& params = run.at("params");
  GenerateStepOptions options;
  options.max_tokens = run.at("max_tokens").get<int64_t>();
  options.prefill_step_size = params.value("prefill_step_size", int64_t{128});
  options.seed = run.value("seed", uint64_t{0});
  options.sampler = make_sampler({.temperature = params.value("temp", 0.0F),
                                  .top_p = params.value("top_p", 0.0F),
                                  .top_k = params.value("top_k", int64_t{0})},
                                 vocab_size);
  options.logits_processors = processors_of(params, run.at("prompt").size(), vocab_size);
  return options;
}

// What the real mlx-lm generates, greedy and with seeds: the same tokens, and log-probabilities within the
// distance that ../shared/golden/mlx gives for this model.
TEST(GoldenGenerate, EveryCaseGivesMlxsTokens) {
  const Model model = test::load_model(test::source_path("tests/golden/mlx/toy"));
  Session session(model, {1, ""});
  const nlohmann::json golden =
      nlohmann::json::parse(test::read_file(test::source_path("tests/golden/mlx/toy/generate.json")));
  const SafetensorsFile file(test::source_path("tests/golden/mlx/toy/generate.safetensors"));
  int n_cases = 0;
  int n_equal = 0;
  int n_tokens = 0;
  for (const nlohmann::json& run : golden.at("cases")) {
    const std::string name = run.at("id").get<std::string>();
    const auto prompt = run.at("prompt").get<std::vector<int32_t>>();
    const auto tokens = run.at("tokens").get<std::vector<int32_t>>();
    GenerateStep steps(session, prompt, options_of(run, model.args().vocab_size));
    std::vector<int32_t> ours;
    while (const auto step = steps.next()) {
      if (run.at("logprobs").is_string())
        test::expect_near(step->logprobs,
                          test::expected(file, run["logprobs"].get<std::string>())
                              .rows(static_cast<int64_t>(ours.size()), 1),
                          3e-4, name);
      ours.push_back(step->token);
    }
    EXPECT_EQ(ours, tokens) << name;
    ++n_cases;
    n_equal += ours == tokens;
    n_tokens += static_cast<int>(tokens.size());
  }
  RecordProperty("cases_equal", std::to_string(n_equal) + " of " + std::to_string(n_cases));
  EXPECT_EQ(n_cases, 9);
  EXPECT_EQ(n_tokens, 8 * 16 + 12);
}

}  // namespace
}  // namespace lille
