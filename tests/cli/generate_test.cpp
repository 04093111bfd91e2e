#include "base/utf8.h"
#include "cli/program.h"

namespace lille::test {
namespace {

std::vector<std::string> with(std::vector<std::string> arguments, const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::string greedy(const std::string& prompt, int n_tokens) {
  return output_of({"generate", prompt, "--temperature", "0", "--max-tokens", std::to_string(n_tokens)});
}

std::string comma_list(const nlohmann::json& tokens) {
  const std::string array = tokens.dump();
  return array.substr(1, array.size() - 2);
}

nlohmann::json json_of(const std::vector<std::string>& arguments) {
  return nlohmann::json::parse(output_of(with(arguments, {"--json"})));
}

TEST(Generate, NeedsNothingButAPrompt) {
  const Finished finished = run_lille({"generate", "Once upon a time"});
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_EQ(finished.err, "");
  EXPECT_GT(finished.out.size(), 100U);
  EXPECT_TRUE(finished.out.ends_with('\n'));
}

TEST(Generate, VerboseTellsSpeedOnStderrOnly) {
  const std::vector<std::string> arguments = {"generate", "The cell is", "--seed", "3", "--max-tokens", "8"};
  const Finished finished = run_lille(with(arguments, {"--verbose"}));
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_EQ(finished.out, output_of(arguments));
  for (const char* part : {"tokens/s", "s to the first token", "seed 3,", "peak memory"})
    EXPECT_NE(finished.err.find(part), std::string::npos) << part << " in " << finished.err;
}

TEST(Generate, SameSeedSameTextForAnyThreadsAndOnEveryRun) {
  const std::vector<std::string> arguments = {"generate", "In the beginning", "--seed", "11", "--temperature",
                                              "0.9",      "--max-tokens",     "48"};
  const std::string text = output_of(arguments);
  EXPECT_EQ(output_of(arguments), text);
  for (const char* n_threads : {"1", "2", "7"})
    EXPECT_EQ(output_of(with(arguments, {"--threads", n_threads})), text) << n_threads << " threads";
}

TEST(Generate, DifferentSeedsGiveDifferentTexts) {
  const std::vector<std::string> arguments = {"generate", "In the beginning", "--max-tokens", "32"};
  EXPECT_NE(output_of(with(arguments, {"--seed", "1"})), output_of(with(arguments, {"--seed", "2"})));
}

TEST(Generate, WithoutASeedItTakesANewOneAndReportsIt) {
  const nlohmann::json first = json_of({"generate", "hi", "--max-tokens", "16"});
  const nlohmann::json second = json_of({"generate", "hi", "--max-tokens", "16"});
  EXPECT_NE(first["seed"], second["seed"]);
  const nlohmann::json again = json_of(
      {"generate", "hi", "--max-tokens", "16", "--seed", std::to_string(first["seed"].get<uint64_t>())});
  EXPECT_EQ(again["text"], first["text"]);
}

TEST(Generate, SeedIsDecimalAndUpToTheLargest) {
  EXPECT_EQ(json_of({"generate", "hi", "--max-tokens", "1", "--seed", "010"})["seed"], 10U);
  EXPECT_EQ(json_of({"generate", "hi", "--max-tokens", "1", "--seed", "18446744073709551615"})["seed"],
            UINT64_MAX);
}

TEST(Generate, TempIsTemperature) {
  EXPECT_EQ(output_of({"generate", "The cell is", "--temp", "0", "--max-tokens", "12"}),
            greedy("The cell is", 12));
}

TEST(Generate, MaxTokens) {
  const nlohmann::json none = json_of({"generate", "hi", "--max-tokens", "0"});
  EXPECT_EQ(none["text"], "");
  EXPECT_EQ(none["tokens"], nlohmann::json::array());
  EXPECT_EQ(none["finish_reason"], "length");
  const nlohmann::json one = json_of({"generate", "hi", "--max-tokens", "1"});
  EXPECT_EQ(one["tokens"].size(), 1U);
  EXPECT_EQ(one["generation_tokens"], 1);
}

TEST(Generate, ContextEndsTheAnswer) {
  const nlohmann::json answer =
      json_of({"generate", "Once upon a time", "--temperature", "0", "--max-tokens", "1000000000"});
  EXPECT_LE(answer["prompt_tokens"].get<int>() + answer["generation_tokens"].get<int>(), 513);
}

TEST(Generate, GreedyContinuationsAreTheExpectedTokens) {
  LILLE_NEED_SHARED();
  const auto expected = nlohmann::json::parse(read_file(shared_path("checkpoints/expected.json")));
  // Below this gap between the best two logits, two correct programs may differ.
  constexpr double kMargin = 1e-3;
  int n_cases = 0;
  for (const nlohmann::json& wanted : expected["greedy"]["lille-tiny-8bit"]) {
    if (!wanted.contains("prompt")) continue;
    const nlohmann::json answer = json_of({"generate", wanted["prompt"], "--temperature", "0", "--exact",
                                           "--max-tokens", std::to_string(wanted["tokens"].size())});
    EXPECT_EQ(answer["prompt_tokens"], wanted["ids"].size());
    std::size_t n_certain = 0;
    while (n_certain < wanted["margins"].size() && wanted["margins"][n_certain] > kMargin) ++n_certain;
    ASSERT_GE(answer["tokens"].size(), n_certain) << wanted["prompt"];
    for (std::size_t idx = 0; idx < n_certain; ++idx)
      ASSERT_EQ(answer["tokens"][idx], wanted["tokens"][idx]) << wanted["prompt"] << " token " << idx;
    ++n_cases;
  }
  EXPECT_EQ(n_cases, 4);
}

TEST(Generate, PromptFromStdin) {
  RunOptions options;
  options.stdin_text = "The cell is";
  EXPECT_EQ(output_of({"generate", "-", "--temperature", "0", "--max-tokens", "12"}, options),
            greedy("The cell is", 12));
}

TEST(Generate, PromptsWithNewlinesEmojiAndShellCharacters) {
  for (const char* prompt : {"One\n\nTwo\n", "\xf0\x9f\x98\x80 \xce\xa9 \xe6\xbc\xa2", "[a, b]", "{}",
                             "%s %n", "a=b", "info", " "}) {
    const nlohmann::json answer = json_of({"generate", prompt, "--max-tokens", "2"});
    const std::string ids = output_of({"tokenize", prompt});
    EXPECT_EQ(answer["prompt_tokens"], 2 + std::count(ids.begin(), ids.end(), ',')) << prompt;
  }
}

TEST(Generate, PromptThatBeginsWithADashStandsAfterTwo) {
  EXPECT_EQ(nlohmann::json::parse(
                output_of({"generate", "--max-tokens", "2", "--json", "--", "--help"}))["generation_tokens"],
            2);
}

TEST(Generate, EmptyPromptBeginsWithStartOfText) {
  EXPECT_EQ(json_of({"generate", "", "--max-tokens", "2"})["prompt_tokens"], 1);
}

TEST(Generate, EmptyPromptWithoutStartOfTextIsAnError) {
  expect_failure(kWrongUsage, "prompt: expected a text, got an empty one without <|startoftext|>",
                 {"generate", "", "--no-bos"});
  expect_failure(kWrongUsage, "prompt: expected a text", {"generate", "-", "--no-bos"});
}

TEST(Generate, BosAndNoBosDifferByOneToken) {
  EXPECT_EQ(json_of({"generate", "hi", "--max-tokens", "1", "--bos"})["prompt_tokens"], 2);
  EXPECT_EQ(json_of({"generate", "hi", "--max-tokens", "1", "--no-bos"})["prompt_tokens"], 1);
  expect_failure(kWrongUsage, "--bos excludes --no-bos", {"generate", "hi", "--bos", "--no-bos"});
}

TEST(Generate, PromptLongerThanTheContextIsAnErrorWithBothLengths) {
  std::string prompt;
  for (int word_idx = 0; word_idx < 600; ++word_idx) prompt += " the";
  RunOptions options;
  options.stdin_text = prompt;
  expect_failure(kWrongUsage, "601 tokens", {"generate", "-"}, options);
  expect_failure(kWrongUsage, "512 tokens (block_size)", {"generate", "-"}, options);
}

TEST(Generate, OverflowTruncatesAndSaysSo) {
  RunOptions options;
  for (int word_idx = 0; word_idx < 600; ++word_idx) options.stdin_text += " the";
  const Finished finished = run_lille(
      {"generate", "-", "--overflow", "truncate-left", "--max-tokens", "3", "--temp", "0", "--json"},
      options);
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_NE(finished.err.find("the oldest 91 tokens of the prompt were left out"), std::string::npos)
      << finished.err;
  const auto answer = nlohmann::json::parse(finished.out);
  EXPECT_EQ(answer["prompt_tokens"], 510);
  EXPECT_EQ(answer["dropped_tokens"], 91);
  EXPECT_EQ(answer["dropped_turns"], 0);
  EXPECT_EQ(answer["generation_tokens"], 3);
  expect_failure(kWrongUsage, "and so is its last turn of 601 tokens",
                 {"generate", "-", "--overflow", "trim-turns"}, options);
  expect_failure(kWrongUsage, "--overflow: expected error, truncate-left or trim-turns, got \"shift\"",
                 {"generate", "hi", "--overflow", "shift"});
}

TEST(Generate, StopTextsEndTheAnswerAndAreNotShown) {
  const std::string whole = greedy("Once upon a time", 40);
  const std::string stop = whole.substr(20, 4);
  const std::string wanted = whole.substr(0, whole.find(stop));
  const std::vector<std::string> arguments = {
      "generate", "Once upon a time", "--temp", "0", "--max-tokens", "40", "--stop", "{}", "--stop", stop};
  EXPECT_EQ(output_of(arguments), wanted + "\n");
  const nlohmann::json answer = json_of(arguments);
  EXPECT_EQ(answer["text"], wanted);
  EXPECT_EQ(answer["stop"], stop);
  EXPECT_EQ(answer["finish_reason"], "stop");
  EXPECT_TRUE(json_of({"generate", "hi", "--max-tokens", "1"})["stop"].is_null());
}

TEST(Generate, StopTextsThatLookLikeListsAreTexts) {
  std::vector<std::string> arguments = {"generate", "hi", "--max-tokens", "2", "--temp", "0"};
  const std::string text = output_of(arguments);
  for (const char* stop : {"{}", "[a,b]", "[", "--", "%%", "-1"})
    EXPECT_EQ(output_of(with(arguments, {std::string("--stop=") + stop})), text) << stop;
  arguments.insert(arguments.begin() + 1, {"--stop", "a,b"});
  EXPECT_EQ(output_of(arguments), text) << "a stop takes one text and leaves the prompt";
}

TEST(Generate, BadStopTexts) {
  expect_failure(kWrongUsage, "stop: expected strings of at least one character",
                 {"generate", "hi", "--stop", ""});
  expect_failure(kWrongUsage, "stop: expected UTF-8 text, got \"a\\xff\"",
                 {"generate", "hi", "--stop", "a\xff"});
}

TEST(Generate, StopTextsOfFourKilobytesAndAHundred) {
  std::vector<std::string> arguments = {"generate", "hi", "--max-tokens", "8", "--temp", "0"};
  const std::string text = output_of(arguments);
  arguments.insert(arguments.end(), {"--stop", std::string(4096, 'x')});
  for (int idx = 0; idx < 100; ++idx)
    arguments.insert(arguments.end(), {"--stop", std::string("no such text ").append(std::to_string(idx))});
  EXPECT_EQ(output_of(arguments), text);
}

TEST(Generate, LogprobsOfEachToken) {
  const nlohmann::json answer = json_of(
      {"generate", "The cell is", "--temp", "0", "--max-tokens", "3", "--logprobs", "--top-logprobs", "2"});
  ASSERT_EQ(answer["logprobs"].size(), 3U);
  for (std::size_t idx = 0; idx < 3; ++idx) {
    const nlohmann::json& token = answer["logprobs"][idx];
    EXPECT_EQ(token["id"], answer["tokens"][idx]);
    ASSERT_EQ(token["top_logprobs"].size(), 2U);
    EXPECT_EQ(token["top_logprobs"][0]["id"], token["id"]) << "the likeliest token, at temperature 0";
    EXPECT_EQ(token["top_logprobs"][0]["logprob"], token["logprob"]);
    EXPECT_LT(token["logprob"], 0);
  }
  const nlohmann::json chosen = json_of({"generate", "The cell is", "--max-tokens", "1", "--logprobs"});
  EXPECT_FALSE(chosen["logprobs"][0].contains("top_logprobs"));
  EXPECT_FALSE(json_of({"generate", "hi", "--max-tokens", "1"}).contains("logprobs"));
  expect_failure(kWrongUsage, "--logprobs: expected --json beside it", {"generate", "hi", "--logprobs"});
}

TEST(Generate, TemperatureZeroIgnoresFiltersThatAreInRange) {
  EXPECT_EQ(output_of({"generate", "The cell is", "--max-tokens", "12", "--temp", "0", "--top-p", "0.9",
                       "--top-k", "5", "--min-p", "0.3", "--xtc-probability", "1"}),
            greedy("The cell is", 12));
}

TEST(Generate, TopKOneIsTheLikeliestTokenAtAnyTemperature) {
  EXPECT_EQ(output_of({"generate", "The cell is", "--max-tokens", "12", "--temp", "1", "--top-p", "1",
                       "--top-k", "1"}),
            greedy("The cell is", 12));
}

TEST(Generate, BiasesAndPenaltiesReachTheLogits) {
  const std::vector<std::string> arguments = {"generate", "The cell is", "--temp", "0", "--max-tokens", "3"};
  EXPECT_EQ(json_of(with(arguments, {"--logit-bias", "77:1000"}))["tokens"], nlohmann::json({77, 77, 77}));
  EXPECT_EQ(json_of(with(arguments, {"--logit-bias", R"({"77": 1000})"}))["tokens"],
            nlohmann::json({77, 77, 77}));
  const nlohmann::json different =
      json_of(with(arguments, {"--logit-bias", "77:1000,78:950", "--presence-penalty", "100"}))["tokens"];
  EXPECT_EQ(different, nlohmann::json({77, 78, 77}));
  expect_failure(kWrongUsage, "--logit-bias: expected ID:NUMBER", {"generate", "hi", "--logit-bias", "x"});
  expect_failure(kWrongUsage, "logit_bias: expected token ids in [0, 32768), got 40000",
                 {"generate", "hi", "--logit-bias", "40000:1"});
}

TEST(Generate, BosComesFromTheFolderUnlessSaid) {
  const TemporaryFolder folder;
  const auto model = copy_model(tiny_model(), folder.path() / "model");
  folder.write("model/tokenizer_config.json", R"({"add_bos_token": false})");
  const std::vector<std::string> arguments = {"generate", "hi", "--max-tokens", "1", "--model", model};
  EXPECT_EQ(json_of(arguments)["prompt_tokens"], 1);
  EXPECT_EQ(json_of(with(arguments, {"--bos"}))["prompt_tokens"], 2);
  folder.write("model/tokenizer_config.json", "{}");
  EXPECT_EQ(json_of(arguments)["prompt_tokens"], 2);
}

TEST(Generate, InvalidUtf8PromptIsAnError) {
  expect_failure(kWrongUsage, "prompt: expected UTF-8 text, got the byte 0xff at offset 3",
                 {"generate", "abc\xff"});
  RunOptions options;
  options.stdin_text = "ab\xc3";
  expect_failure(kWrongUsage, "got the byte 0xc3 at offset 2", {"generate", "-"}, options);
}

TEST(Generate, JsonIsValidWhateverTheTokensAre) {
  // At this temperature every token is as likely as any other, so some are halves of characters.
  const std::string text = output_of({"generate", "hi", "--temperature", "1000000", "--top-p", "1", "--seed",
                                      "1", "--max-tokens", "400", "--json"});
  EXPECT_TRUE(is_valid_utf8(text));
  const nlohmann::json answer = nlohmann::json::parse(text);
  const std::string ids = comma_list(answer["tokens"]);
  EXPECT_FALSE(is_valid_utf8(output_of({"detokenize", ids})))
      << "choose another seed: no token was half a character";
}

TEST(Generate, JsonTextIsThatOfItsTokens) {
  const nlohmann::json answer =
      json_of({"generate", "Once upon a time", "--temperature", "0", "--max-tokens", "20"});
  const std::string ids = comma_list(answer["tokens"]);
  EXPECT_EQ(output_of({"detokenize", ids}), answer["text"]);
  EXPECT_EQ(greedy("Once upon a time", 20), answer["text"].get<std::string>() + "\n");
}

TEST(Generate, TokenizerAndModelOfDifferentSizes) {
  const TemporaryFolder folder;
  const auto model = copy_model(toy_model(), folder.path() / "model");
  for (const char* file : {"vocab.json", "merges.txt"})
    std::filesystem::copy_file(tiny_model() / file, model / file);
  expect_failure(kWrongUsage, "the tokenizer has 32768 tokens and the model 512",
                 {"generate", "hi", "--model", model});
}

TEST(Generate, FolderWithoutATokenizer) {
  expect_failure(kFailed,
                 "expected vocab.json and merges.txt, or tokenizer.json, or Hastings.pkl, found none",
                 {"generate", "hi", "--model", toy_model()});
}

// The first text arrives while there is still something to compute, or the fault could not happen.
TEST(Generate, ModelTruncatedWhenTheFirstTextArrives) {
  const TemporaryFolder folder;
  const auto model = copy_model(tiny_model(), folder.path() / "model");
  RunOptions options;
  options.has_small_pipe = true;
  options.on_first_out = [&](pid_t) { std::filesystem::resize_file(model / "model.safetensors", 4096); };
  const Finished finished =
      run_lille(with({"generate", "Once upon a time", "--model", model}, kLongAnswer), options);
  EXPECT_EQ(finished.signal, 0);
  EXPECT_EQ(finished.exit_code, kFailed);
  EXPECT_NE(finished.err.find((model / "model.safetensors").string() + " was truncated"), std::string::npos)
      << finished.err;
}

// Kilobytes of a field of /proc/PID/smaps, over all mappings of `file`.
int64_t mapped_kb(pid_t pid, const std::filesystem::path& file, const std::string& field) {
  std::ifstream smaps("/proc/" + std::to_string(pid) + "/smaps");
  int64_t n_kb = 0;
  bool is_file = false;
  for (std::string line; std::getline(smaps, line);) {
    const bool is_header = line.find('-') < line.find(' ');
    if (is_header) is_file = line.ends_with(file.string());
    if (is_file && line.starts_with(field + ":")) n_kb += std::stoll(line.substr(field.size() + 1));
  }
  return n_kb;
}

TEST(Generate, TwoProcessesShareTheModel) {
  const TemporaryFolder folder;
  const auto model = copy_model(tiny_model(), std::filesystem::canonical(folder.path()) / "model");
  const std::filesystem::path weights = model / "model.safetensors";
  // Pages of the copy that are not on the disk yet would count as dirty.
  const int written = open(weights.c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(fsync(written), 0);
  close(written);
  const std::vector<std::string> arguments =
      with({"generate", "Once upon a time", "--model", model}, kLongAnswer);
  bool is_measured = false;
  RunOptions first;
  first.has_small_pipe = true;
  first.on_first_out = [&](pid_t first_pid) {
    kill(first_pid, SIGSTOP);
    RunOptions second;
    second.has_small_pipe = true;
    second.on_first_out = [&](pid_t second_pid) {
      kill(second_pid, SIGSTOP);
      for (const pid_t pid : {first_pid, second_pid}) {
        const int64_t resident_kb = mapped_kb(pid, weights, "Rss");
        EXPECT_GT(resident_kb, 17000) << "the weights are read from the mapping";
        EXPECT_EQ(mapped_kb(pid, weights, "Private_Dirty"), 0);
        EXPECT_EQ(mapped_kb(pid, weights, "Anonymous"), 0);
        EXPECT_NEAR(static_cast<double>(mapped_kb(pid, weights, "Pss")),
                    0.5 * static_cast<double>(resident_kb), 0.1 * static_cast<double>(resident_kb));
      }
      is_measured = true;
      kill(second_pid, SIGCONT);
    };
    EXPECT_EQ(run_lille(arguments, second).exit_code, 0);
    kill(first_pid, SIGCONT);
  };
  EXPECT_EQ(run_lille(arguments, first).exit_code, 0);
  EXPECT_TRUE(is_measured);
}

TEST(Generate, NothingButTextOnAPipe) {
  const Finished finished = run_lille({"generate", "Once upon a time", "--max-tokens", "8", "--verbose"});
  EXPECT_EQ(finished.out.find('\x1b'), std::string::npos);
  EXPECT_EQ(finished.err.find('\x1b'), std::string::npos);
  EXPECT_EQ(finished.out.find("Once upon a time"), std::string::npos);
}

TEST(Generate, ATerminalShowsThePromptInBold) {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(terminal, 0);
  ASSERT_EQ(grantpt(terminal), 0);
  ASSERT_EQ(unlockpt(terminal), 0);
  RunOptions options;
  options.stdout_file = ptsname(terminal);
  // Held open here, so that the text does not go with the program.
  const int other_side = open(ptsname(terminal), O_RDWR | O_NOCTTY);
  EXPECT_EQ(
      run_lille({"generate", "Once upon a time", "--max-tokens", "4", "--temp", "0"}, options).exit_code, 0);
  const std::string expected = "\x1b[1mOnce upon a time\x1b[0m";
  std::string shown;
  // The system passes on what was written piece by piece, some of it later than the program's end.
  while (shown.size() < expected.size()) {
    std::array<char, 4096> text;
    const ssize_t n_read = read(terminal, text.data(), text.size());
    if (n_read <= 0) break;
    shown.append(text.data(), static_cast<std::size_t>(n_read));
  }
  close(other_side);
  close(terminal);
  EXPECT_TRUE(shown.starts_with(expected)) << shown;
}

}  // namespace
}  // namespace lille::test
