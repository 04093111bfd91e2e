#include "cli/command_flags.h"

namespace lille::test {
namespace {

// As roff has it: every dash as one that can be copied.
std::string with_dashes(std::string text) {
  for (std::size_t at = 0; (at = text.find('-', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

std::string page_of(const std::string& command) {
  return command.empty() ? output_of({"man"}) : output_of({"man", command});
}

TEST(Man, EveryCommandHasItsSectionsAndFlags) {
  std::vector<std::string> pages = all_commands();
  pages.emplace_back();
  for (const std::string& command : pages) {
    const std::string page = page_of(command);
    std::size_t end = 0;
    for (const char* section : {"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT",
                                "FILES", "EXAMPLES", "SEE ALSO"}) {
      const std::size_t begin = page.find(std::string("\n.SH ") + section + "\n");
      ASSERT_NE(begin, std::string::npos) << command << " " << section;
      EXPECT_GT(begin, end) << command << " " << section;
      end = begin;
    }
    for (const std::string& flag : flags_of(command))
      EXPECT_NE(page.find("\\fB" + with_dashes(flag) + "\\fR"), std::string::npos) << command << " " << flag;
  }
}

TEST(Man, ThePageOfTheProgramNamesEveryCommand) {
  const std::string page = page_of("");
  EXPECT_TRUE(page.starts_with(".TH LILLE 1 "));
  for (const std::string& command : all_commands()) {
    EXPECT_NE(page.find("\n\\fB" + command + "\\fR\n"), std::string::npos) << command;
    EXPECT_NE(page.find("\\fBlille\\-" + command + "\\fR(1)"), std::string::npos) << command;
  }
}

TEST(Man, ShowsValuesDefaultsAndArguments) {
  const std::string page = page_of("generate");
  EXPECT_TRUE(page.starts_with(".TH LILLE\\-GENERATE 1 "));
  EXPECT_NE(page.find("\n\\fB\\-\\-max\\-tokens\\fR \\fIN\\fR\nMost tokens"), std::string::npos);
  EXPECT_NE(page.find(" Default: 256.\n"), std::string::npos);
  EXPECT_NE(page.find("[\\fIOPTION\\fR...]\n\\fIPROMPT\\fR\n"), std::string::npos);
  EXPECT_NE(page.find("\n.EX\nlille generate \"Once upon a time\" "), std::string::npos);
}

TEST(Man, WritesAllPages) {
  const TemporaryFolder folder;
  EXPECT_EQ(output_of({"man", "--write", folder.path().string()}), "");
  EXPECT_EQ(read_file(folder.path() / "lille.1"), page_of(""));
  for (const std::string& command : all_commands())
    EXPECT_EQ(read_file(folder.path() / ("lille-" + command + ".1")), page_of(command));
  expect_failure(kFailed, "no such folder", {"man", "--write", (folder.path() / "no").string()});
}

TEST(Man, UnknownCommandsAreRefused) {
  expect_failure(kWrongUsage, "command: expected generate, ", {"man", "fly"});
  expect_failure(kWrongUsage, "excludes", {"man", "info", "--write", "."});
}

}  // namespace
}  // namespace lille::test
