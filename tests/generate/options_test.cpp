#include "generate/options.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "support.h"

namespace lille {
namespace {

const Tokenizer& test_tokenizer() {
  static const Tokenizer tokenizer = Tokenizer::load(test::source_path("models/lille-tiny-8bit"));
  return tokenizer;
}

TEST(Options, FlagsAreTheNamesWithDashes) { EXPECT_EQ(flag_of("top_p"), "--top-p"); }

template <typename Field>
bool is_yes_or_no(const Field&) {
  return std::is_same_v<Field, bool> || std::is_same_v<Field, std::optional<bool>>;
}

TEST(Options, EveryOptionHasAHelpAndANameOfItsOwn) {
  std::set<std::string_view> names;
  const auto check = [&](const OptionSpec& spec, const auto& field) {
    EXPECT_FALSE(spec.help.empty()) << spec.name;
    EXPECT_EQ(spec.value_name.empty(), is_yes_or_no(field)) << spec.name;
    EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
    const bool is_new = spec.alias.empty() || names.insert(spec.alias).second;
    EXPECT_TRUE(is_new) << spec.alias;
  };
  GenerationOptions generation;
  visit_options(generation, check);
  ModelOptions model;
  visit_options(model, check);
  ComputeOptions compute;
  visit_options(compute, check);
  BatchOptions batch;
  visit_options(batch, check);
  DraftOptions draft;
  visit_options(draft, check);
  EXPECT_EQ(names.size(), 35u);
}

template <typename Edit>
void expect_out_of_range(std::string_view part, Edit edit) {
  GenerationOptions options;
  edit(options);
  test::expect_error(ErrorCode::kInvalidArgument, part, [&] { check_ranges(options); });
}

TEST(Options, ValuesOutOfRangeNameTheFlag) {
  expect_out_of_range("--temperature: expected a number from 0", [](auto& o) { o.temperature = -1.0F; });
  expect_out_of_range("--temperature: expected", [](auto& o) { o.temperature = NAN; });
  expect_out_of_range("--temperature: expected", [](auto& o) { o.temperature = INFINITY; });
  expect_out_of_range("--top-p: expected a number from 0 to 1, got 2", [](auto& o) { o.top_p = 2.0F; });
  expect_out_of_range("--top-p: expected", [](auto& o) { o.top_p = NAN; });
  expect_out_of_range("--top-p: expected", [](auto& o) { o.top_p = -0.1F; });
  expect_out_of_range("--max-tokens: expected", [](auto& o) { o.max_tokens = -1; });
  ModelOptions model;
  model.threads = 5000;
  test::expect_error(ErrorCode::kInvalidArgument, "--threads: expected a number from 0 to 1024, got 5000",
                     [&] { check_ranges(model); });
}

TEST(Options, NumbersMayHaveChoices) {
  ComputeOptions compute;
  for (compute.kv_bits = 0; compute.kv_bits < 70; ++compute.kv_bits)
    if (compute.kv_bits == 8 || compute.kv_bits == 16 || compute.kv_bits == 32) {
      check_ranges(compute);
      EXPECT_EQ(kv_bits(cache_type_of_bits(compute.kv_bits)), compute.kv_bits);
    } else {
      test::expect_error(ErrorCode::kInvalidArgument, "--kv-bits: expected 32, 16 or 8, got \"",
                         [&] { check_ranges(compute); });
    }
}

TEST(Options, WhatIsInRangePasses) {
  GenerationOptions options;
  check_ranges(options);
  options.temperature = -0.0F;
  options.top_p = 1.0F;
  options.seed = ~uint64_t{0};
  options.max_tokens = 0;
  check_ranges(options);
}

// Every real number of the table, and of what it is made into, refuses what is no number.
TEST(Options, NoRealNumberMayBeNanOrInfinite) {
  int n_reals = 0;
  for (const float bad : {NAN, -NAN, INFINITY, -INFINITY}) {
    for (int real_idx = 0;; ++real_idx) {
      GenerationOptions options;
      std::string flag;
      int idx = 0;
      visit_options(options, [&]<typename Field>(const OptionSpec& spec, Field& field) {
        if constexpr (std::is_same_v<Field, float> || std::is_same_v<Field, std::optional<float>>) {
          if (idx++ != real_idx) return;
          field = bad;
          flag = flag_of(spec.name);
        }
      });
      if (flag.empty()) break;
      ++n_reals;
      test::expect_error(ErrorCode::kInvalidArgument, flag + ": expected a number from",
                         [&] { check_ranges(options); });
      test::expect_error(ErrorCode::kInvalidArgument, "expected a",
                         [&] { make_stream_options(options, {}, test_tokenizer()); });
    }
  }
  EXPECT_EQ(n_reals, 4 * 8);
}

// Minus zero is zero, so nothing is switched on by it.
TEST(Options, MinusZeroIsZero) {
  GenerationOptions options;
  visit_options(options, []<typename Field>(const OptionSpec&, Field& field) {
    if constexpr (std::is_same_v<Field, float> || std::is_same_v<Field, std::optional<float>>) field = -0.0F;
  });
  check_ranges(options);
  const StreamOptions stream = make_stream_options(options, {}, test_tokenizer());
  EXPECT_TRUE(stream.sampler->is_greedy());
  EXPECT_TRUE(stream.logits_processors.empty());
  options.temperature = 1.0F;
  const StreamOptions sampled = make_stream_options(options, {}, test_tokenizer());
  std::vector<float> logprobs(32768, -10.0F);
  RandomState random(1);
  sampled.sampler->filter(logprobs, random);
  EXPECT_EQ(std::ranges::count(logprobs, -10.0F), 32768) << "no filter is on";
}

TEST(Options, HugeAndNegativeWholeNumbers) {
  int n_whole = 0;
  for (const int64_t bad : {INT64_MIN, int64_t{-1}, int64_t{2'000'000'000}, INT64_MAX}) {
    for (int whole_idx = 0;; ++whole_idx) {
      GenerationOptions options;
      std::string flag;
      int idx = 0;
      visit_options(options, [&]<typename Field>(const OptionSpec& spec, Field& field) {
        if constexpr (std::is_same_v<Field, int64_t> || std::is_same_v<Field, std::optional<int64_t>>) {
          if (idx++ != whole_idx) return;
          field = bad;
          flag = flag_of(spec.name);
        }
      });
      if (flag.empty()) break;
      ++n_whole;
      test::expect_error(ErrorCode::kInvalidArgument, flag + ": expected a number from",
                         [&] { check_ranges(options); });
    }
  }
  EXPECT_EQ(n_whole, 4 * 7);
}

TEST(Options, HugeValuesInRangeWork) {
  GenerationOptions options;
  options.temperature = 1e6F;
  options.top_k = 1'000'000'000;
  options.min_p = 1;
  options.sampler.min_tokens_to_keep = 1'000'000'000;
  options.repetition_context_size = 1'000'000'000;
  options.repetition_penalty = 1e6F;
  options.logits_processors.frequency_penalty = -1e6F;
  check_ranges(options);
  const StreamOptions stream = make_stream_options(options, {}, test_tokenizer());
  std::vector<float> logits(32768);
  logits[5] = 3;
  LogitsProcessors processors = stream.logits_processors;
  processors.process(std::vector<int32_t>{5, 6, 5}, logits);
  log_softmax(logits);
  RandomState random(1);
  EXPECT_EQ((*stream.sampler)(logits, random), 5);
}

TEST(Options, TheFoldersDefaultsFillWhatIsAbsent) {
  const GenerationDefaults defaults = {.temperature = 0, .top_p = 0.5F};
  EXPECT_TRUE(make_stream_options({}, defaults, test_tokenizer()).sampler->is_greedy());
  GenerationOptions options;
  options.temperature = 1.0F;
  EXPECT_FALSE(make_stream_options(options, defaults, test_tokenizer()).sampler->is_greedy());
  EXPECT_TRUE(begins_with_bos(options, defaults));
  options.bos = false;
  EXPECT_FALSE(begins_with_bos(options, defaults));
}

// How many of 100 tokens with these logits, 0, -0.1, -0.2 and so on, may be drawn.
std::ptrdiff_t n_choosable(const StreamOptions& stream) {
  std::vector<float> logprobs(32768, -INFINITY);
  for (std::size_t id = 0; id < 100; ++id) logprobs[id] = -0.1F * static_cast<float>(id);
  log_softmax(logprobs);
  RandomState random(1);
  stream.sampler->filter(logprobs, random);
  return std::ranges::count_if(logprobs, [](float value) { return std::isfinite(value); });
}

TEST(Options, TheFoldersFiltersHoldUnlessSaid) {
  GenerationDefaults defaults = {.temperature = 1, .top_p = 1, .top_k = 7};
  GenerationOptions options;
  EXPECT_EQ(n_choosable(make_stream_options(options, defaults, test_tokenizer())), 7);
  options.top_k = 3;
  EXPECT_EQ(n_choosable(make_stream_options(options, defaults, test_tokenizer())), 3);
  options.top_k = 0;
  EXPECT_EQ(n_choosable(make_stream_options(options, defaults, test_tokenizer())), 100);
  // exp(-0.1 * 6) is above one half, exp(-0.1 * 7) below.
  defaults.min_p = 0.5F;
  EXPECT_EQ(n_choosable(make_stream_options(options, defaults, test_tokenizer())), 7);
  options.min_p = 0.0F;
  EXPECT_EQ(n_choosable(make_stream_options(options, defaults, test_tokenizer())), 100);
}

// The logit of token 5, which is 8, when it stands `n_back` tokens before the end.
float penalized(const GenerationOptions& options, const GenerationDefaults& defaults, std::size_t n_back) {
  LogitsProcessors processors = make_stream_options(options, defaults, test_tokenizer()).logits_processors;
  std::vector<int32_t> tokens(n_back + 1, 6);
  tokens.front() = 5;
  std::vector<float> logits(32768, 8.0F);
  processors.process(tokens, logits);
  return logits[5];
}

TEST(Options, TheFoldersRepetitionPenaltyCountsAllTokens) {
  const GenerationDefaults defaults = {.repetition_penalty = 2};
  GenerationOptions options;
  EXPECT_EQ(penalized(options, defaults, 100), 4.0F) << "as in transformers";
  EXPECT_EQ(penalized(options, {}, 5), 8.0F);
  options.repetition_context_size = 20;
  EXPECT_EQ(penalized(options, defaults, 19), 4.0F);
  EXPECT_EQ(penalized(options, defaults, 20), 8.0F);
  options.repetition_context_size = std::nullopt;
  options.repetition_penalty = 4.0F;
  EXPECT_EQ(penalized(options, defaults, 19), 2.0F);
  EXPECT_EQ(penalized(options, defaults, 20), 8.0F) << "20 tokens for one that was asked for, as in mlx-lm";
  for (const float off : {0.0F, 1.0F}) {
    options.repetition_penalty = off;
    EXPECT_TRUE(make_stream_options(options, defaults, test_tokenizer()).logits_processors.empty());
  }
}

TEST(Options, TemperatureZeroIgnoresFilters) {
  GenerationOptions options;
  options.temperature = 0.0F;
  options.top_p = 0.9F;
  options.top_k = 5;
  options.min_p = 0.5F;
  options.sampler.xtc_probability = 1;
  check_ranges(options);
  EXPECT_TRUE(make_stream_options(options, {}, test_tokenizer()).sampler->is_greedy());
}

TEST(Options, EveryOneReachesTheStream) {
  GenerationOptions options;
  options.max_tokens = 3;
  options.seed = 9;
  options.stop = {"a", "b"};
  options.top_logprobs = 4;
  options.overflow = "trim-turns";
  options.logits_processors.logit_bias = {{7, -1.0F}};
  options.logits_processors.presence_penalty = 1;
  const StreamOptions stream = make_stream_options(options, {}, test_tokenizer());
  EXPECT_EQ(stream.max_tokens, 3);
  EXPECT_EQ(stream.seed, 9u);
  EXPECT_EQ(stream.stop, options.stop);
  EXPECT_EQ(stream.top_logprobs, 4);
  EXPECT_EQ(stream.overflow, Overflow::kTrimTurns);
  EXPECT_EQ(stream.logits_processors.size(), 2u);
}

// At threshold 0 XTC leaves only the least likely token and the special ones.
TEST(Options, XtcNeverLeavesOutNewlineAndEndTokens) {
  GenerationOptions options;
  options.temperature = 1.0F;
  options.sampler.xtc_probability = 1;
  const StreamOptions stream = make_stream_options(options, {.temperature = 1, .top_p = 1}, test_tokenizer());
  std::vector<float> logprobs(32768);
  for (std::size_t id = 0; id < logprobs.size(); ++id) logprobs[id] = -static_cast<float>(id % 100) / 100;
  logprobs[1234] = -2;
  log_softmax(logprobs);
  RandomState random(1);
  stream.sampler->filter(logprobs, random);
  std::vector<int32_t> kept;
  for (std::size_t id = 0; id < logprobs.size(); ++id)
    if (std::isfinite(logprobs[id])) kept.push_back(static_cast<int32_t>(id));
  std::vector<int32_t> wanted = test_tokenizer().encode("\n");
  for (const int32_t id : {1234, 32764, 32766}) wanted.push_back(id);
  std::ranges::sort(wanted);
  EXPECT_EQ(kept, wanted);
}

TEST(Options, LogitBiasInBothForms) {
  using Biases = std::map<int32_t, float>;
  EXPECT_EQ(parse_logit_bias("262:-2,11:1.5"), (Biases{{262, -2.0F}, {11, 1.5F}}));
  EXPECT_EQ(parse_logit_bias(R"({"262": -2, "11": 1.5})"), (Biases{{262, -2.0F}, {11, 1.5F}}));
  EXPECT_EQ(parse_logit_bias("5:-inf"), (Biases{{5, -INFINITY}}));
  EXPECT_EQ(parse_logit_bias(R"({"5": "-inf", "6": 0.5})"), (Biases{{5, -INFINITY}, {6, 0.5F}}));
  EXPECT_TRUE(parse_logit_bias("{}").empty());
}

TEST(Options, BadLogitBiases) {
  for (const char* text : {"", ",", "5", "5:", ":1", "5:1,", "a:1", "5:x", "5:1:2", "5;1", " 5:1",
                           "99999999999:1", "5:1e99", "{", "[1]", "5:1\n"})
    test::expect_error(ErrorCode::kInvalidArgument, "--logit-bias: expected ID:NUMBER",
                       [&] { parse_logit_bias(text); });
  test::expect_error(ErrorCode::kInvalidArgument, "expected each token id once, got 5 twice",
                     [] { parse_logit_bias("5:1,5:2"); });
  for (const char* text : {R"({"a": 1})", R"({"": 1})", R"({"5": "1"})", R"({"5": "inf"})", R"({"5": null})",
                           R"({"5": {}})", R"({"5": 1e39})", R"({"5": -1e39})"})
    test::expect_error(ErrorCode::kInvalidArgument, "--logit-bias: expected an object of numbers by token id",
                       [&] { parse_logit_bias(text); });
  test::expect_error(ErrorCode::kInvalidArgument, "--logit-bias: expected each name once, got \"262\" twice",
                     [] { parse_logit_bias(R"({"262":1,"262":5})"); });
  test::expect_error(ErrorCode::kInvalidArgument, "--logit-bias: expected each token id once, got 1 twice",
                     [] { parse_logit_bias(R"({"1":1,"01":5})"); });
  for (const char* text : {"32768:1", "-1:1", "5:nan", "5:inf"}) {
    GenerationOptions options;
    options.logits_processors.logit_bias = parse_logit_bias(text);
    test::expect_error(ErrorCode::kInvalidArgument, "logit_bias: expected",
                       [&] { make_stream_options(options, {}, test_tokenizer()); });
  }
}

TEST(Options, WhatOnlyTheTokenizerOrTheTextTellsIsRefusedAtOnce) {
  const auto refused = [](std::string_view part, auto&& change) {
    GenerationOptions options;
    change(options);
    test::expect_error(ErrorCode::kInvalidArgument, part,
                       [&] { make_stream_options(options, {}, test_tokenizer()); });
  };
  refused("--stop: expected strings of at least one character", [](auto& o) { o.stop = {"a", ""}; });
  refused("--stop: expected UTF-8 text", [](auto& o) { o.stop = {"\xff"}; });
  refused("--top-logprobs: expected 0 to 32768 (vocab_size), got 32769",
          [](auto& o) { o.top_logprobs = 32769; });
  refused("grammar: line 1: expected NAME ::=", [](auto& o) { o.grammar = "x"; });
  refused("json_schema.not: not understood", [](auto& o) { o.json_schema = R"({"not":{}})"; });
  refused("--grammar: expected none beside --json-schema, got both",
          [](auto& o) { o.grammar = o.json_schema = "{}"; });
}

TEST(Options, ErrorsOfWhatAnAnswerIsMadeWithCarryTheirField) {
  const auto field_of = [](auto&& change) -> std::string {
    GenerationOptions options;
    change(options);
    try {
      make_stream_options(options, {}, test_tokenizer());
    } catch (const Error& error) {
      return error.field();
    }
    return "nothing was thrown";
  };
  EXPECT_EQ(field_of([](auto& o) { o.temperature = -1.0F; }), "temperature");
  EXPECT_EQ(field_of([](auto& o) { o.top_p = 2.0F; }), "top_p");
  EXPECT_EQ(field_of([](auto& o) { o.top_k = -1; }), "top_k");
  EXPECT_EQ(field_of([](auto& o) { o.sampler.xtc_threshold = 0.6F; }), "xtc_threshold");
  EXPECT_EQ(field_of([](auto& o) { o.repetition_penalty = -1.0F; }), "repetition_penalty");
  EXPECT_EQ(field_of([](auto& o) { o.logits_processors.presence_context_size = -1; }),
            "presence_context_size");
  EXPECT_EQ(field_of([](auto& o) { o.logits_processors.logit_bias = {{40000, 1.0F}}; }), "logit_bias");
  EXPECT_EQ(field_of([](auto& o) { o.logits_processors.logit_bias = {{1, NAN}}; }), "logit_bias");
  EXPECT_EQ(field_of([](auto& o) { o.stop = {""}; }), "stop");
  EXPECT_EQ(field_of([](auto& o) { o.stop = {"\xff"}; }), "stop");
  EXPECT_EQ(field_of([](auto& o) { o.top_logprobs = 32769; }), "top_logprobs");
  EXPECT_EQ(field_of([](auto& o) { o.overflow = "cut"; }), "overflow");
  EXPECT_EQ(field_of([](auto& o) { o.grammar = o.json_schema = "{}"; }), "grammar");
}

TEST(Options, TextsOtherThanTheChoices) {
  for (const char* bad : {"shift", "error|trim-turns", "trim", "|"})
    expect_out_of_range("--overflow: expected error, truncate-left or trim-turns, got",
                        [bad](auto& o) { o.overflow = bad; });
  ModelOptions model;
  model.rope = "sideways";
  test::expect_error(ErrorCode::kInvalidArgument,
                     "--rope: expected interleaved, half or original, got \"sideways\"",
                     [&] { check_ranges(model); });
  model.rope = "half";
  check_ranges(model);
  GenerationOptions options;
  options.overflow = "";
  test::expect_error(ErrorCode::kInvalidArgument, "--overflow: expected error, truncate-left or trim-turns",
                     [&] { make_stream_options(options, {}, test_tokenizer()); });
}

}  // namespace
}  // namespace lille
