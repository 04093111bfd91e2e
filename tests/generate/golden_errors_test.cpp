#include <gtest/gtest.h>

#include <map>
#include <string>
#include <variant>

#include "generate/golden.h"
#include "lille/logits_processors.h"
#include "lille/sampler.h"

namespace lille {
namespace {

// What each call of errors.json becomes here: options and whether making them raises, or the type system,
// which does not let it be written.
struct NotWritable {};
struct Ours {
  std::variant<SamplerOptions, LogitsProcessorOptions, NotWritable> call;
  bool raises = false;
};

const std::map<std::string, Ours>& our_calls() {
  static const std::map<std::string, Ours> calls = {
      // A filter alone is a sampler with that filter; 0 switches a filter off, at or above the vocabulary is
      // off.
      {"apply_top_k(x, 0)", {SamplerOptions{.top_k = 0}, false}},
      {"apply_top_k(x, -1)", {SamplerOptions{.top_k = -1}, true}},
      {"apply_top_k(x, 64) with vocab 64", {SamplerOptions{.top_k = 64}, false}},
      {"apply_top_k(x, 65) with vocab 64", {SamplerOptions{.top_k = 65}, false}},
      {"apply_top_k(x, 2.0)", {NotWritable{}}},
      {"apply_top_k(x, 63) with vocab 64", {SamplerOptions{.top_k = 63}, false}},
      {"apply_min_p(x, 0.0)", {SamplerOptions{.min_p = 0}, false}},
      {"apply_min_p(x, -0.1)", {SamplerOptions{.min_p = -0.1f}, true}},
      {"apply_min_p(x, 1.1)", {SamplerOptions{.min_p = 1.1f}, true}},
      {"apply_min_p(x, 0.1, 0)", {SamplerOptions{.min_p = 0.1f, .min_tokens_to_keep = 0}, true}},
      {"apply_min_p(x, 0.1, 1.0)", {NotWritable{}}},
      {"apply_min_p(x, 0.1, 2)", {SamplerOptions{.min_p = 0.1f, .min_tokens_to_keep = 2}, false}},
      {"apply_min_p(x, 0.1, 65) with vocab 64",
       {SamplerOptions{.min_p = 0.1f, .min_tokens_to_keep = 65}, false}},
      {"apply_min_p(x, 1.0)", {SamplerOptions{.min_p = 1}, false}},
      {"apply_top_p(x, -0.5)", {SamplerOptions{.top_p = -0.5f}, true}},
      {"apply_top_p(x, 0.0)", {SamplerOptions{.top_p = 0}, false}},
      {"apply_top_p(x, 1.0)", {SamplerOptions{.top_p = 1}, false}},
      {"apply_top_p(x, 1.5)", {SamplerOptions{.top_p = 1.5f}, true}},
      {"apply_xtc(x, 1.0, 0.6, [])", {SamplerOptions{.xtc_probability = 1, .xtc_threshold = 0.6f}, true}},
      {"apply_xtc(x, 1.0, -0.1, [])", {SamplerOptions{.xtc_probability = 1, .xtc_threshold = -0.1f}, true}},
      {"apply_xtc(x, 1.5, 0.1, [])", {SamplerOptions{.xtc_probability = 1.5f, .xtc_threshold = 0.1f}, true}},
      {"apply_xtc(x, -0.5, 0.1, [])",
       {SamplerOptions{.xtc_probability = -0.5f, .xtc_threshold = 0.1f}, true}},
      {"apply_xtc(x, 1.0, 0.1, [64]) with vocab 64; logit_bias or penalty with an id >= vocab",
       {SamplerOptions{.xtc_probability = 1, .xtc_threshold = 0.1f, .xtc_special_tokens = {64}}, true}},
      {"make_sampler(temp=1, top_p=-0.5) then draw",
       {SamplerOptions{.temperature = 1, .top_p = -0.5f}, true}},
      {"make_sampler(temp=1, top_p=2.0)", {SamplerOptions{.temperature = 1, .top_p = 2}, true}},
      {"make_sampler(temp=1, min_p=-0.5)", {SamplerOptions{.temperature = 1, .min_p = -0.5f}, true}},
      {"make_sampler(temp=1, min_p=2)", {SamplerOptions{.temperature = 1, .min_p = 2}, true}},
      {"make_sampler(temp=1, top_k=-3)", {SamplerOptions{.temperature = 1, .top_k = -3}, true}},
      {"make_sampler(temp=1, top_k=64), vocab 64", {SamplerOptions{.temperature = 1, .top_k = 64}, false}},
      {"make_sampler(temp=1, xtc_probability=-1)",
       {SamplerOptions{.temperature = 1, .xtc_probability = -1}, true}},
      {"make_sampler(temp=1, xtc_probability=0.5, xtc_threshold=0.9)",
       {SamplerOptions{.temperature = 1, .xtc_probability = 0.5f, .xtc_threshold = 0.9f}, true}},
      {"make_sampler(temp=0, top_k=1000, min_p=9)",
       {SamplerOptions{.temperature = 0, .min_p = 9, .top_k = 1000}, true}},
      {"make_sampler(temp=-1)", {SamplerOptions{.temperature = -1}, true}},
      {"make_repetition_penalty(-1.0)", {LogitsProcessorOptions{.repetition_penalty = -1}, true}},
      {"make_repetition_penalty('x')", {NotWritable{}}},
      {"make_logits_processors(repetition_penalty=-0.1)",
       {LogitsProcessorOptions{.repetition_penalty = -0.1f}, true}},
      {"make_logits_processors(repetition_penalty=0)",
       {LogitsProcessorOptions{.repetition_penalty = 0}, false}},
      {"make_repetition_penalty(0.0)", {LogitsProcessorOptions{.repetition_penalty = 0}, false}},
      {"make_presence_penalty(-5.0)", {LogitsProcessorOptions{.presence_penalty = -5}, false}},
      {"make_frequency_penalty(-5.0)", {LogitsProcessorOptions{.frequency_penalty = -5}, false}},
      {"make_logits_processors(logit_bias={'3': 1.0})", {NotWritable{}}},
      // Not calls: all processors here change their logits in place, by contract.
      {"repetition penalty changes its input array in place", {NotWritable{}}},
      {"presence penalty changes its input array in place", {NotWritable{}}},
      {"frequency penalty changes its input array in place", {NotWritable{}}}};
  return calls;
}

bool raises_when_made(const SamplerOptions& options) {
  try {
    make_sampler(options, 64);
  } catch (const Error& error) {
    return error.code() == ErrorCode::kInvalidArgument;
  }
  return false;
}

bool raises_when_made(const LogitsProcessorOptions& options) {
  try {
    make_logits_processors(options, 64);
  } catch (const Error& error) {
    return error.code() == ErrorCode::kInvalidArgument;
  }
  return false;
}

bool raises_when_made(NotWritable) { return false; }

TEST(GoldenErrors, EveryCallHasItsAnswer) {
  LILLE_NEED_SHARED();
  const nlohmann::json cases = test::golden_json("errors.json").at("cases");
  EXPECT_EQ(cases.size(), our_calls().size());
  for (const auto& golden : cases) {
    const std::string call = golden.at("call");
    ASSERT_TRUE(our_calls().contains(call)) << call;
    const Ours& ours = our_calls().at(call);
    const bool is_raised =
        std::visit([](const auto& options) { return raises_when_made(options); }, ours.call);
    EXPECT_EQ(is_raised, ours.raises) << call;
  }
}

}  // namespace
}  // namespace lille
