#include <sstream>

#include "cli/program.h"

namespace lille::test {
namespace {

constexpr std::size_t kMaxColumns = 100;
constexpr std::size_t kTextColumn = 28;

class Help : public testing::TestWithParam<std::string> {};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST_P(Help, FitsTheScreenAndExplainsEveryOption) {
  std::vector<std::string> arguments = {"--help"};
  if (GetParam() != "program") arguments.insert(arguments.begin(), GetParam());
  const std::vector<std::string> lines = lines_of(output_of(arguments));
  EXPECT_GT(lines.size(), 5U);
  int n_options = 0;
  for (std::size_t idx = 0; idx < lines.size(); ++idx) {
    EXPECT_LE(lines[idx].size(), kMaxColumns) << lines[idx];
    if (!lines[idx].starts_with("  -")) continue;
    ++n_options;
    const std::size_t text = lines[idx].find_first_not_of(' ', kTextColumn);
    const bool is_on_next_line =
        idx + 1 < lines.size() && lines[idx + 1].find_first_not_of(' ') == kTextColumn;
    EXPECT_TRUE(text == kTextColumn || is_on_next_line) << lines[idx];
  }
  EXPECT_GE(n_options, 1);
}

INSTANTIATE_TEST_SUITE_P(Commands, Help, testing::ValuesIn([] {
                           std::vector<std::string> with_program = kCommands;
                           with_program.emplace_back("program");
                           return with_program;
                         }()),
                         [](const auto& command) { return command.param; });

TEST(HelpOfTheProgram, NamesEveryCommand) {
  const std::string help = output_of({"--help"});
  for (const std::string& command : kCommands)
    EXPECT_NE(help.find("\n  " + command + " "), std::string::npos) << command;
  EXPECT_NE(help.find("Commands:"), std::string::npos);
}

TEST(HelpOfTheProgram, FullDiskIsAnError) {
  RunOptions options;
  options.stdout_file = "/dev/full";
  expect_failure(kFailed, "[stdout] the output could not be written", {"--help"}, options);
}

// Lines are joined, since a sentence may be broken anywhere.
std::string words_of_help(const std::string& command) {
  std::istringstream stream(output_of({command, "--help"}));
  std::string words;
  for (std::string word; stream >> word;) words += word + " ";
  return words;
}

TEST(HelpOfTheProgram, SaysWhereAPromptBegins) {
  EXPECT_NE(
      words_of_help("generate")
          .find("Begin with <|startoftext|>. Default: add_bos_token of tokenizer_config.json, else yes."),
      std::string::npos);
  EXPECT_NE(words_of_help("perplexity").find("<|startoftext|> is not added."), std::string::npos);
}

TEST(HelpOfTheProgram, DefaultsAreShown) {
  const std::string help = output_of({"generate", "--help"});
  EXPECT_NE(help.find("--max-tokens N=256"), std::string::npos);
  EXPECT_NE(help.find("--temperature,--temp T"), std::string::npos);
}

}  // namespace
}  // namespace lille::test
