#include <fmt/ranges.h>

#include "base/utf8.h"
#include "cli/program.h"

namespace lille::test {
namespace {

TEST(Main, NoCommandAndUnknownCommand) {
  expect_failure(kWrongUsage,
                 fmt::format("expected a command, one of {}, got none", fmt::join(kCommands, ", ")), {});
  expect_failure(kWrongUsage, "got \"frobnicate\"", {"frobnicate"});
  expect_failure(kWrongUsage, "got \"--frob\"", {"--frob"});
}

TEST(Main, UnknownFlagNamesItAndTheCommandsHelp) {
  for (const std::string& command : kCommands) {
    std::vector<std::string> arguments = {command, "--frob"};
    const bool takes_text = command != "info" && command != "perplexity";
    if (command == "convert" || command == "diff") arguments.emplace_back("target");
    // A choice that is none is told before a flag that is none.
    if (takes_text)
      arguments.emplace_back(command == "completion" ? "bash" : command == "man" ? "info" : "1");
    expect_failure(kWrongUsage, "lille " + command + " --help", arguments);
  }
  expect_failure(kWrongUsage, "not expected: --frob", {"generate", "hi", "--frob"});
}

TEST(Main, UnquotedPromptSaysThatTextStandsInQuotes) {
  expect_failure(kWrongUsage, "a text stands in quotes", {"generate", "once", "upon"});
  expect_failure(kWrongUsage, "prompt is required", {"generate"});
}

TEST(Main, MessagesAreUtf8WhateverTheArguments) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"\xff"},
                                                    {"generate", "hi", "--\xff"},
                                                    {"generate", "hi", "--rope", "\xff\n"},
                                                    {"generate", "hi", "--seed", "\xff\x1b"},
                                                    {"info", "--model", "/\xff\n"},
                                                    {"perplexity", "--text", "/\xff"},
                                                    {"detokenize", "\xff"},
                                                    {"generate", "hi", "\xff\n"}}) {
    const Finished finished = run_lille(arguments);
    EXPECT_NE(finished.exit_code, 0);
    EXPECT_TRUE(is_valid_utf8(finished.err)) << arguments.back();
    EXPECT_EQ(std::count(finished.err.begin(), finished.err.end(), '\n'), 1) << finished.err;
    EXPECT_EQ(finished.err.find('\x1b'), std::string::npos);
  }
}

TEST(Main, Version) { EXPECT_TRUE(output_of({"--version"}).starts_with("lille ")); }

TEST(Main, ClosedStdout) {
  RunOptions options;
  options.stdout_file = "-";
  expect_failure(kFailed, "[stdout] the output could not be written", {"generate", "hi", "--max-tokens", "4"},
                 options);
}

TEST(Main, FullStdout) {
  RunOptions options;
  options.stdout_file = "/dev/full";
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"generate", "hi", "--max-tokens", "4"},
        {"generate", "hi", "--max-tokens", "4", "--json"},
        {"info"},
        {"tokenize", "hi"},
        {"detokenize", "1"},
        {"--version"}})
    expect_failure(kFailed, "No space left on device", arguments, options);
}

TEST(Main, StderrThatCannotBeWrittenChangesNothing) {
  const std::string text = output_of({"generate", "hi", "--max-tokens", "4", "--temp", "0"});
  for (const char* redirected : {"2>/dev/full", "2>&-"}) {
    RunOptions options;
    options.wrapper = {"/bin/sh", "-c", std::string("exec \"$0\" \"$@\" ").append(redirected)};
    EXPECT_EQ(output_of({"generate", "hi", "--max-tokens", "4", "--temp", "0", "--verbose"}, options), text);
    EXPECT_EQ(run_lille({"generate", "hi", "--seed", "-1"}, options).exit_code, kWrongUsage);
  }
}

std::vector<std::string> long_answer() {
  std::vector<std::string> arguments = {"generate", "Once upon a time"};
  arguments.insert(arguments.end(), kLongAnswer.begin(), kLongAnswer.end());
  return arguments;
}

TEST(Main, ReaderThatGoesAwayEndsTheProgramQuietly) {
  RunOptions options;
  options.has_small_pipe = true;
  options.stop_reading_after = 10;
  const Finished finished = run_lille(long_answer(), options);
  EXPECT_EQ(finished.signal, SIGPIPE);
  EXPECT_EQ(finished.err, "");
}

TEST(Main, ReaderThatGoesAwayWhereSigpipeIsIgnored) {
  RunOptions options;
  options.has_small_pipe = true;
  options.stop_reading_after = 10;
  options.wrapper = {"/bin/sh", "-c", "trap '' PIPE; exec \"$0\" \"$@\""};
  const Finished finished = run_lille(long_answer(), options);
  EXPECT_EQ(finished.signal, 0);
  EXPECT_EQ(finished.exit_code, kFailed);
  EXPECT_EQ(finished.err, "lille: error: [stdout] the output could not be written: Broken pipe\n");
}

}  // namespace
}  // namespace lille::test
