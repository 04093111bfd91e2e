#include "cli/program.h"

namespace lille::test {
namespace {

const std::string kRepetition = "one two three four, one two three four, one two three four, one two";

std::vector<std::string> drafted_command(std::initializer_list<std::string> more) {
  std::vector<std::string> arguments = {"generate", kRepetition, "--max-tokens", "24"};
  arguments.insert(arguments.end(), more);
  return arguments;
}

nlohmann::json drafted_json(std::initializer_list<std::string> more) {
  std::vector<std::string> arguments = drafted_command(more);
  arguments.emplace_back("--json");
  return nlohmann::json::parse(output_of(arguments));
}

TEST(DraftOption, TheAnswerIsTheSame) {
  for (const std::vector<std::string>& manner :
       {std::vector<std::string>{"--temp", "0"}, std::vector<std::string>{"--temp", "0.9", "--seed", "3"}}) {
    const std::string plain = output_of(drafted_command({manner.front(), manner[1], "--seed", "3"}));
    for (const std::string& draft : {std::string("lookup"), tiny_model().string()})
      EXPECT_EQ(output_of(drafted_command({manner.front(), manner[1], "--seed", "3", "--draft", draft})),
                plain)
          << draft;
  }
}

TEST(DraftOption, JsonTellsWhatItDid) {
  const nlohmann::json plain = drafted_json({"--temp", "0"});
  EXPECT_FALSE(plain.contains("draft"));
  const nlohmann::json answer = drafted_json(
      {"--temp", "0", "--no-adaptive-draft", "--num-draft-tokens", "4", "--draft", tiny_model().string()});
  EXPECT_EQ(answer["tokens"], plain["tokens"]);
  const nlohmann::json& draft = answer["draft"];
  // Each of its guesses is right: after the first token five at a time, three in the end.
  EXPECT_EQ(draft["passes"], 1 + 4 + 1);
  EXPECT_EQ(draft["drafted_tokens"], 4 * 4 + 2);
  EXPECT_EQ(draft["accepted_tokens"], draft["drafted_tokens"]);
  EXPECT_EQ(draft["acceptance_rate"], 1.0);
  EXPECT_NEAR(draft["tokens_per_pass"].get<double>(), 24.0 / draft["passes"].get<double>(), 1e-9);
}

TEST(DraftOption, VerboseTellsItInWords) {
  const Finished finished =
      run_lille(drafted_command({"--temp", "0", "--draft-model", "lookup", "--verbose"}));
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_NE(finished.err.find("draft: "), std::string::npos) << finished.err;
  EXPECT_NE(finished.err.find(" tokens accepted ("), std::string::npos) << finished.err;
}

TEST(DraftOption, ChatTakesItToo) {
  RunOptions options;
  options.stdin_text = "What is a cell?\nWhat is a cell?\n";
  const std::vector<std::string> plain = {"chat", "--temp", "0", "--max-tokens", "16"};
  std::vector<std::string> drafted = plain;
  drafted.insert(drafted.end(), {"--draft", "lookup", "--verbose"});
  const Finished finished = run_lille(drafted, options);
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_EQ(finished.out, run_lille(plain, options).out);
  EXPECT_NE(finished.err.find("draft: "), std::string::npos) << finished.err;
}

TEST(DraftOption, PromptCachesStayTheSame) {
  const TemporaryFolder folder;
  const std::string plain = (folder.path() / "plain").string();
  const std::string drafted = (folder.path() / "drafted").string();
  output_of(drafted_command({"--temp", "0", "--prompt-cache", plain}));
  output_of(drafted_command({"--temp", "0", "--prompt-cache", drafted, "--draft", tiny_model().string()}));
  EXPECT_TRUE(read_file(plain) == read_file(drafted));
}

TEST(DraftOption, ErrorsNameTheFlag) {
  expect_failure(kWrongUsage, "--num-draft-tokens: expected --draft beside it",
                 drafted_command({"--num-draft-tokens", "3"}));
  expect_failure(kWrongUsage, "--adaptive-draft: expected --draft beside it",
                 drafted_command({"--no-adaptive-draft"}));
  expect_failure(kWrongUsage, "--num-draft-tokens: expected a number from 1 to 32, got 0",
                 drafted_command({"--draft", "lookup", "--num-draft-tokens", "0"}));
  expect_failure(kFailed, "--draft: ", drafted_command({"--draft", "/nonexistent/model"}));
}

TEST(DraftOption, AnotherVocabularyIsRefused) {
  expect_failure(kWrongUsage, "expected a vocabulary of 32768 tokens (vocab_size), as the model has, got 512",
                 drafted_command({"--draft", toy_model().string()}));
  const TemporaryFolder folder;
  const std::filesystem::path other = copy_model(tiny_model(), folder.path() / "other");
  // Tokens of one byte are no merges, so two of them may change places.
  const auto vocabulary = nlohmann::json::parse(read_file(other / "vocab.json"));
  auto changed = vocabulary;
  changed["A"] = vocabulary["B"];
  changed["B"] = vocabulary["A"];
  folder.write("other/vocab.json", changed.dump());
  const std::string token = "token " + vocabulary["A"].dump() + " is \"B\" in " + other.string();
  expect_failure(kWrongUsage, token, drafted_command({"--draft", other.string()}));
}

TEST(DraftOption, BatchHasNone) {
  expect_failure(kWrongUsage, "--draft", {"batch", "-", "--draft", "lookup"});
}

}  // namespace
}  // namespace lille::test
