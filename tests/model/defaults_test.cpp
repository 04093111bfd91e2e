#include "lille/defaults.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "io/gguf.h"
#include "support.h"

namespace lille {
namespace {

TEST(GenerationDefaults, TheAuthorsWithoutFiles) {
  const test::TemporaryFolder folder;
  const GenerationDefaults defaults = load_generation_defaults(folder.path());
  EXPECT_EQ(defaults.temperature, 0.5F);
  EXPECT_EQ(defaults.top_p, 0.95F);
  EXPECT_EQ(defaults.top_k, 0);
  EXPECT_EQ(defaults.min_p, 0.0F);
  EXPECT_EQ(defaults.repetition_penalty, 1.0F);
  EXPECT_TRUE(defaults.add_bos_token);
}

TEST(GenerationDefaults, TheFoldersOwn) {
  const test::TemporaryFolder folder;
  folder.write("generation_config.json", R"({"temperature": 0.8, "top_p": 1, "max_length": 20, "top_k": 50,
                                             "min_p": 0.05, "repetition_penalty": 1.2})");
  folder.write("tokenizer_config.json", R"({"add_bos_token": false})");
  const GenerationDefaults defaults = load_generation_defaults(folder.path());
  EXPECT_EQ(defaults.temperature, 0.8F);
  EXPECT_EQ(defaults.top_p, 1.0F);
  EXPECT_EQ(defaults.top_k, 50);
  EXPECT_EQ(defaults.min_p, 0.05F);
  EXPECT_EQ(defaults.repetition_penalty, 1.2F);
  EXPECT_FALSE(defaults.add_bos_token);
}

TEST(GenerationDefaults, SwitchedOffSamplingIsTemperatureZero) {
  const test::TemporaryFolder folder;
  folder.write("generation_config.json", R"({"temperature": 0.8, "do_sample": false})");
  EXPECT_EQ(load_generation_defaults(folder.path()).temperature, 0.0F);
}

TEST(GenerationDefaults, NullMeansAbsent) {
  const test::TemporaryFolder folder;
  folder.write("generation_config.json",
               R"({"temperature": null, "top_k": null, "min_p": null, "repetition_penalty": null})");
  folder.write("tokenizer_config.json", R"({"add_bos_token": null})");
  const GenerationDefaults defaults = load_generation_defaults(folder.path());
  EXPECT_EQ(defaults.temperature, 0.5F);
  EXPECT_EQ(defaults.top_k, 0);
  EXPECT_EQ(defaults.min_p, 0.0F);
  EXPECT_EQ(defaults.repetition_penalty, 1.0F);
  EXPECT_TRUE(load_generation_defaults(folder.path()).add_bos_token);
}

TEST(GenerationDefaults, BadValuesNameTheFileAndTheKey) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"temperature": -1})", "temperature: expected a number from 0"},
      {R"({"temperature": "hot"})", "got \"hot\""},
      {R"({"temperature": 1e999})", "generation_config.json"},
      {R"({"top_p": 2})", "top_p: expected a number from 0 to 1, got 2"},
      {R"({"top_k": -1})", "top_k: expected a whole number from 0 to 1000000000, got -1"},
      {R"({"top_k": 2.5})", "top_k: expected a whole number from 0 to 1000000000, got 2.5"},
      {R"({"top_k": 18446744073709551615})", "got 18446744073709551615"},
      {R"({"top_k": true})", "got true"},
      {R"({"min_p": 1.5})", "min_p: expected a number from 0 to 1, got 1.5"},
      {R"({"min_p": "x"})", "min_p: expected a number from 0 to 1, got \"x\""},
      {R"({"repetition_penalty": 0})", "repetition_penalty: expected a number above 0 to 1000000, got 0"},
      {R"({"repetition_penalty": -1})", "repetition_penalty: expected"},
      {R"({"repetition_penalty": []})", "repetition_penalty: expected"},
      {R"([1])", "generation_config.json"},
      {"", "generation_config.json"},
      {"{\"a\": \"\xff\"}", "generation_config.json"}};
  for (const auto& [text, part] : cases) {
    const test::TemporaryFolder folder;
    folder.write("generation_config.json", text);
    test::expect_error(ErrorCode::kCorruptFile, part, [&] { load_generation_defaults(folder.path()); });
  }
  const test::TemporaryFolder folder;
  folder.write("tokenizer_config.json", R"({"add_bos_token": "yes"})");
  test::expect_error(ErrorCode::kCorruptFile, "add_bos_token: expected true or false, got a string",
                     [&] { load_generation_defaults(folder.path()); });
}

TEST(GenerationDefaults, WhatIsSavedReadsBack) {
  const Tokenizer tokenizer = Tokenizer::from_pickle(test::source_path("tests/golden/hastings/Hastings.pkl"));
  GenerationDefaults greedy;
  greedy.temperature = 0;
  GenerationDefaults every;
  every.temperature = 0.7F;
  every.top_p = 0.9F;
  every.top_k = 40;
  every.min_p = 0.05F;
  every.repetition_penalty = 1.1F;
  for (const GenerationDefaults& defaults : {GenerationDefaults{}, greedy, every}) {
    const test::TemporaryFolder folder;
    save_generation_defaults(folder.path(), defaults, tokenizer);
    const GenerationDefaults read = load_generation_defaults(folder.path());
    EXPECT_EQ(read.temperature, defaults.temperature);
    EXPECT_EQ(read.top_p, defaults.top_p);
    EXPECT_EQ(read.top_k, defaults.top_k);
    EXPECT_EQ(read.min_p, defaults.min_p);
    EXPECT_EQ(read.repetition_penalty, defaults.repetition_penalty);
  }
  const test::TemporaryFolder folder;
  save_generation_defaults(folder.path(), every, tokenizer);
  const nlohmann::json config =
      nlohmann::json::parse(test::read_file(folder.path() / "generation_config.json"));
  EXPECT_EQ(config, nlohmann::json::parse(R"({"bos_token_id": 32767, "eos_token_id": [32764, 32766],
      "pad_token_id": 32763, "do_sample": true, "temperature": 0.7, "top_p": 0.9, "top_k": 40, "min_p": 0.05,
      "repetition_penalty": 1.1})"));
}

TEST(GenerationDefaults, OfAGgufFile) {
  const test::TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "x.gguf";
  save_gguf(path, {}, {});
  EXPECT_EQ(load_generation_defaults(path).temperature, 0.5F);
  EXPECT_TRUE(load_generation_defaults(path).add_bos_token);
  const std::vector<std::pair<std::string, GgufValue>> metadata = {
      {"general.sampling.temp", 0.75F},           {"general.sampling.top_p", 0.5F},
      {"general.sampling.top_k", int32_t{40}},    {"general.sampling.min_p", 0.25F},
      {"general.sampling.penalty_repeat", 1.25F}, {"tokenizer.ggml.add_bos_token", false}};
  save_gguf(path, metadata, {});
  const GenerationDefaults defaults = load_generation_defaults(path);
  EXPECT_EQ(defaults.temperature, 0.75F);
  EXPECT_EQ(defaults.top_p, 0.5F);
  EXPECT_EQ(defaults.top_k, 40);
  EXPECT_EQ(defaults.min_p, 0.25F);
  EXPECT_EQ(defaults.repetition_penalty, 1.25F);
  EXPECT_FALSE(defaults.add_bos_token);
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, GgufValue>>{{"general.sampling.temp", -1.0F},
                                                      {"general.sampling.temp", std::string_view("hot")},
                                                      {"general.sampling.top_p", 2.0F},
                                                      {"general.sampling.top_k", int32_t{-1}},
                                                      {"general.sampling.penalty_repeat", 0.0F},
                                                      {"tokenizer.ggml.add_bos_token", uint8_t{1}}}) {
    const std::pair<std::string, GgufValue> bad = {key, value};
    save_gguf(path, std::span(&bad, 1), {});
    test::expect_error(ErrorCode::kCorruptFile, "x.gguf: " + key, [&] { load_generation_defaults(path); });
  }
}

}  // namespace
}  // namespace lille
