// `lille generate --prompt-cache FILE`: the answers are those without the file, sooner.

#include "cli/program.h"

namespace lille::test {
namespace {

class PromptCacheOption : public testing::Test {
 protected:
  std::vector<std::string> arguments(const std::string& prompt, int max_tokens) const {
    return {"generate",
            prompt,
            "--temperature",
            "0.8",
            "--seed",
            "4",
            "--repetition-penalty",
            "1.3",
            "--repetition-context-size",
            "0",
            "--json",
            "--max-tokens",
            std::to_string(max_tokens)};
  }
  nlohmann::json cold(const std::string& prompt, int max_tokens) const {
    return nlohmann::json::parse(output_of(arguments(prompt, max_tokens)));
  }
  nlohmann::json cached(const std::string& prompt, int max_tokens) const {
    std::vector<std::string> words = arguments(prompt, max_tokens);
    words.insert(words.end(), {"--prompt-cache", path_.string()});
    return nlohmann::json::parse(output_of(words));
  }
  static void expect_same_answer(const nlohmann::json& answer, const nlohmann::json& wanted) {
    for (const char* key : {"text", "tokens", "finish_reason", "prompt_tokens"})
      EXPECT_EQ(answer[key], wanted[key]);
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "story.safetensors";
};

TEST_F(PromptCacheOption, TheFirstRunMakesTheFileAndTheNextReusesIt) {
  const nlohmann::json wanted = cold("Once upon a time", 12);
  EXPECT_EQ(wanted["cached_tokens"], 0);
  const nlohmann::json first = cached("Once upon a time", 12);
  expect_same_answer(first, wanted);
  EXPECT_EQ(first["cached_tokens"], 0);
  const nlohmann::json again = cached("Once upon a time", 12);
  expect_same_answer(again, wanted);
  EXPECT_EQ(again["cached_tokens"], 4) << "<|startoftext|> and three of four words";
  const nlohmann::json longer = cached("Once upon a time there was", 12);
  expect_same_answer(longer, cold("Once upon a time there was", 12));
  EXPECT_GE(longer["cached_tokens"], 5);
  const nlohmann::json other = cached("The river", 12);
  expect_same_answer(other, cold("The river", 12));
  EXPECT_EQ(other["cached_tokens"], 1);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 1)
      << "nothing else is left";
}

TEST_F(PromptCacheOption, AnAnswerIsReusedWhenItIsContinued) {
  const nlohmann::json first = cached("Once upon a time", 10);
  const std::string continued = "Once upon a time" + first["text"].get<std::string>();
  const nlohmann::json second = cached(continued, 6);
  expect_same_answer(second, cold(continued, 6));
  EXPECT_GE(second["cached_tokens"], 10);
}

TEST_F(PromptCacheOption, MaxTokensZeroFillsIt) {
  const nlohmann::json filled = cached("Once upon a time", 0);
  EXPECT_EQ(filled["generation_tokens"], 0);
  EXPECT_TRUE(std::filesystem::exists(path_));
  const nlohmann::json answer = cached("Once upon a time there was", 8);
  EXPECT_EQ(answer["cached_tokens"], 5);
  expect_same_answer(answer, cold("Once upon a time there was", 8));
}

TEST_F(PromptCacheOption, ANarrowCacheIsSmallerAndReusedToo) {
  std::vector<std::uintmax_t> n_bytes;
  for (const char* bits : {"32", "16", "8"}) {
    std::filesystem::remove(path_);
    std::vector<std::string> words = arguments("Once upon a time there was", 8);
    words.insert(words.end(), {"--kv-bits", bits});
    const nlohmann::json wanted = nlohmann::json::parse(output_of(words));
    words.insert(words.end(), {"--prompt-cache", path_.string()});
    output_of(words);
    const nlohmann::json answer = nlohmann::json::parse(output_of(words));
    expect_same_answer(answer, wanted);
    EXPECT_EQ(answer["cached_tokens"], 6);
    n_bytes.push_back(std::filesystem::file_size(path_));
  }
  EXPECT_LT(n_bytes[1], n_bytes[0]);
  EXPECT_LT(n_bytes[2], n_bytes[1]);
}

TEST_F(PromptCacheOption, VerboseTellsHowManyTokensWereReused) {
  cached("Once upon a time", 0);
  const Finished finished = run_lille(
      {"generate", "Once upon a time", "--max-tokens", "2", "--prompt-cache", path_.string(), "--verbose"});
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_NE(finished.err.find("prompt: 5 tokens (4 reused), "), std::string::npos) << finished.err;
}

TEST_F(PromptCacheOption, WhatIsRefusedStaysAsItIs) {
  const auto refused = [&](const std::string& content, std::string_view part,
                           std::vector<std::string> more = {}) {
    std::ofstream(path_, std::ios::binary) << content;
    std::vector<std::string> words = {"generate", "Once",           "--max-tokens",
                                      "1",        "--prompt-cache", path_.string()};
    words.insert(words.end(), more.begin(), more.end());
    expect_failure(more.empty() ? kFailed : kWrongUsage, part, words);
    EXPECT_EQ(read_file(path_), content);
  };
  cached("Once upon a time", 0);
  const std::string whole = read_file(path_);
  refused("not a cache", "story.safetensors");
  refused(whole.substr(0, whole.size() / 2), "delete the file and fill the cache again");
  const std::string field = "\"format_version\":\"2\"";
  std::string newer = whole;
  ASSERT_NE(newer.find(field), std::string::npos);
  newer.replace(newer.find(field), field.size(), "\"format_version\":\"3\"");
  refused(newer, "format_version: expected 2 or lower, got 3");
  refused(whole, "rope_layout: expected half, as the model was loaded, got interleaved", {"--rope", "half"});
  refused(whole, "cache_type: expected Q8_0, as asked for, got F32. Hint: ask for kv_bits 32",
          {"--kv-bits", "8"});
  refused(read_file(tiny_model() / "model.safetensors"), "format: expected ");
}

TEST_F(PromptCacheOption, APlaceThatCannotHoldAFileIsToldBeforeTheAnswer) {
  const auto refused = [](int exit_code, std::string_view part, const std::string& path) {
    expect_failure(exit_code, part, {"generate", "Once", "--max-tokens", "1", "--prompt-cache", path});
  };
  refused(kFailed, "no such folder", (folder_.path() / "none" / "cache").string());
  refused(kWrongUsage, "--prompt-cache: expected the name of a file", folder_.path().string());
  refused(kWrongUsage, "--prompt-cache: expected the name of a file, got an empty one", "");
}

}  // namespace
}  // namespace lille::test
