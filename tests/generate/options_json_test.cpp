#include "generate/options_json.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support.h"

namespace lille {
namespace {

using nlohmann::json;

GenerationOptions with(std::string_view name, const json& value) {
  GenerationOptions options;
  EXPECT_TRUE(set_json_option(options, name, value)) << name;
  return options;
}

void expect_refused(std::string_view part, std::string_view name, const json& value) {
  test::expect_error(ErrorCode::kInvalidArgument, part, [&] { with(name, value); });
}

TEST(OptionsJson, EachKindOfField) {
  EXPECT_EQ(with("max_tokens", 7).max_tokens, 7);
  EXPECT_EQ(with("top_k", 7).top_k, 7);
  EXPECT_EQ(with("temperature", 0.5).temperature, 0.5F);
  EXPECT_EQ(with("temperature", 1).temperature, 1.0F);
  EXPECT_EQ(with("presence_penalty", -2.5).logits_processors.presence_penalty, -2.5F);
  EXPECT_EQ(with("seed", UINT64_MAX).seed, UINT64_MAX);
  EXPECT_EQ(with("overflow", "trim-turns").overflow, "trim-turns");
  EXPECT_EQ(with("stop", "a").stop, std::vector<std::string>{"a"});
  EXPECT_EQ(with("stop", {"a", "b"}).stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(with("logprobs", true).logprobs);
  EXPECT_EQ(with("bos", false).bos, false);
  const std::map<int32_t, float> biases = {{5, 1.5F}, {7, -2.0F}};
  EXPECT_EQ(with("logit_bias", {{"5", 1.5}, {"7", -2}}).logits_processors.logit_bias, biases);
  const std::map<int32_t, float> excluded = {{5, -INFINITY}, {7, 1.0F}};
  EXPECT_EQ(with("logit_bias", {{"5", "-inf"}, {"7", 1}}).logits_processors.logit_bias, excluded);
}

TEST(OptionsJson, EveryOptionOfTheTableTakesNullAsNotSaid) {
  GenerationOptions table;
  int n_options = 0;
  visit_options(table, [&n_options](const OptionSpec& spec, const auto&) {
    with(spec.name, nullptr);
    ++n_options;
  });
  EXPECT_GT(n_options, 15);
  GenerationOptions options;
  options.max_tokens = 9;
  EXPECT_TRUE(set_json_option(options, "max_tokens", nullptr));
  EXPECT_EQ(options.max_tokens, 9);
}

TEST(OptionsJson, TextsThatFlagsReadFromFilesStandInTheField) {
  EXPECT_EQ(with("grammar", "root ::= \"a\"").grammar, "root ::= \"a\"");
  EXPECT_EQ(with("json_schema", "{\"b\":1,\"a\":2}").json_schema, "{\"b\":1,\"a\":2}");
  EXPECT_EQ(with("json_schema", json::object({{"type", "null"}})).json_schema, R"({"type":"null"})");
  expect_refused("grammar: expected a text or null, got \"\"", "grammar", "");
  expect_refused("json_schema: expected a text, got 1", "json_schema", 1);
  expect_refused("overflow: expected a text, got an object", "overflow", json::object());
}

TEST(OptionsJson, NamesThatAreNotInTheTable) {
  GenerationOptions options;
  for (const char* name : {"temp", "max-tokens", "", "prompt", "MAX_TOKENS"})
    EXPECT_FALSE(set_json_option(options, name, 1)) << name;
}

TEST(OptionsJson, EveryErrorCarriesItsField) {
  GenerationOptions table;
  visit_options(table, [](const OptionSpec& spec, const auto&) {
    try {
      with(spec.name, json::array({1}));
      ADD_FAILURE() << spec.name << " takes an array of numbers";
    } catch (const Error& error) {
      EXPECT_EQ(error.field(), spec.name);
    }
  });
}

TEST(OptionsJson, WhatIsNotOfItsKindOrRange) {
  expect_refused("max_tokens: expected a whole number from 0 to 1000000000, got -1", "max_tokens", -1);
  expect_refused("max_tokens: expected a whole number", "max_tokens", 1.0);
  expect_refused("got \"7\"", "max_tokens", "7");
  expect_refused("got 18446744073709551615", "max_tokens", UINT64_MAX);
  expect_refused("got true", "max_tokens", true);
  expect_refused("temperature: expected a number from 0 to 1000000, got -0.5", "temperature", -0.5);
  expect_refused("top_p: expected a number from 0 to 1, got 1.5", "top_p", 1.5);
  expect_refused("top_p: expected", "top_p", json::array());
  expect_refused("min_p: expected", "min_p", NAN);
  expect_refused("presence_penalty: expected", "presence_penalty", 1e300);
  expect_refused("seed: expected a whole number from 0 to 18446744073709551615, got -1", "seed", -1);
  expect_refused("seed: expected", "seed", 1.5);
  expect_refused("overflow: expected error, truncate-left or trim-turns, got \"cut\"", "overflow", "cut");
  expect_refused("overflow: expected error, truncate-left or trim-turns, got \"\"", "overflow", "");
  expect_refused("overflow: expected a text, got 1", "overflow", 1);
  expect_refused("stop: expected a text or an array of texts, got an array", "stop", {"a", 1});
  expect_refused("stop: expected a text or an array of texts, got an object", "stop", json::object());
  expect_refused("logprobs: expected true or false, got 1", "logprobs", 1);
  expect_refused("bos: expected true or false, got \"yes\"", "bos", "yes");
  expect_refused("logit_bias: expected an object of numbers by token id, got \"x\"", "logit_bias",
                 {{"x", 1}});
  expect_refused("logit_bias: expected an object of numbers by token id, got \"1\"", "logit_bias",
                 {{"5", "1"}});
  expect_refused("logit_bias: expected an object of numbers by token id, got 3", "logit_bias", 3);
  expect_refused("logit_bias: expected an object of numbers by token id, got 1e+39", "logit_bias",
                 {{"5", 1e39}});
  expect_refused("logit_bias: expected each token id once, got 1 twice", "logit_bias", {{"1", 1}, {"01", 2}});
}

}  // namespace
}  // namespace lille
