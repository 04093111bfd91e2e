#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "cli/program.h"

namespace lille::test {
namespace {

class ChatProgram : public testing::Test {
 protected:
  TemporaryFolder folder_;
  std::string file_ = (folder_.path() / "chat.json").string();

  static Finished run(const std::string& typed, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"chat", "--max-tokens", "4", "--temperature", "0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    RunOptions options;
    options.stdin_text = typed;
    return run_lille(arguments, options);
  }

  // Roles and contents after these lines were typed; answers are "...".
  std::vector<std::string> said_after(const std::string& typed, int exit_code = 0) const {
    const Finished finished = run(typed + "\n/save " + file_ + "\n");
    EXPECT_EQ(finished.exit_code, exit_code) << finished.err;
    std::vector<std::string> said;
    const auto saved = nlohmann::json::parse(read_file(file_));
    for (const auto& message : saved["messages"])
      said.push_back(message["role"] == "user" ? message["content"].get<std::string>() : "...");
    return said;
  }

  using Said = std::vector<std::string>;
};

TEST_F(ChatProgram, AnswersEachLineOnStdoutAndNothingElse) {
  const Finished finished = run("Hi\nWhat is a cell?\n/exit\nnot read\n", {"--verbose"});
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_GE(std::ranges::count(finished.out, '\n'), 2);
  EXPECT_EQ(finished.out.find('\x1b'), std::string::npos);
  EXPECT_EQ(finished.err.find('\x1b'), std::string::npos);
  EXPECT_EQ(finished.out, run("Hi\nWhat is a cell?").out);
  EXPECT_TRUE(finished.out.starts_with(run("Hi\n").out));
  EXPECT_NE(finished.err.find("cut at --max-tokens"), std::string::npos);
  EXPECT_NE(finished.err.find("0 from the cache"), std::string::npos);
}

TEST_F(ChatProgram, NothingInNothingOut) {
  for (const char* typed : {"", "\n\n  \n", "/exit\n", "/help\n"}) {
    const Finished finished = run(typed);
    EXPECT_EQ(finished.exit_code, 0) << typed;
    EXPECT_EQ(finished.out, "") << typed;
  }
  for (const char* command : {"/help", "/reset", "/retry", "/undo", "/save", "/load", "/exit"})
    EXPECT_NE(run("/help").err.find(command), std::string::npos) << command;
}

TEST_F(ChatProgram, AModelWithAnotherChatFormIsRefused) {
  const std::filesystem::path model = folder_.path() / "model";
  std::filesystem::copy(source_path("models/lille-tiny-8bit"), model,
                        std::filesystem::copy_options::recursive);
  std::ofstream(model / "chat_template.jinja") << "{{ messages }} [INST]";
  expect_failure(kFailed, "expected Lille's chat form", {"chat", "--model", model.string()});
  const Finished batch = [&] {
    RunOptions options;
    options.stdin_text =
        "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}\n{\"prompt\": \"Hi\"}\n";
    return run_lille({"batch", "-", "--max-tokens", "1", "--model", model.string()}, options);
  }();
  EXPECT_EQ(batch.exit_code, 0);
  std::istringstream lines(batch.out);
  std::string line;
  std::getline(lines, line);
  EXPECT_NE(line.find("expected Lille's chat form"), std::string::npos) << line;
  std::getline(lines, line);
  EXPECT_EQ(line.find("error"), std::string::npos) << line;
}

TEST_F(ChatProgram, MessagesOfSeveralLines) {
  EXPECT_EQ(said_after("one \\\ntwo\\\n\\\nthree"), (Said{"one \ntwo\n\nthree", "..."}));
  EXPECT_EQ(said_after("\"\"\"\n/one\n\n  two\\\n\"\"\"\nnext"),
            (Said{"/one\n\n  two\\", "...", "next", "..."}));
  EXPECT_EQ(said_after("\"\"\"one\"\"\""), (Said{"one", "..."}));
  EXPECT_EQ(said_after("one\r\n\r\ntwo\r"), (Said{"one", "...", "two", "..."}));
}

TEST_F(ChatProgram, TwoSlashesAreOneThatIsText) {
  EXPECT_EQ(said_after("//exit\n//"), (Said{"/exit", "...", "/", "..."}));
}

TEST_F(ChatProgram, ControlTokensAreText) {
  EXPECT_EQ(said_after("<|endoftext|>\n<|user|>Hi"), (Said{"<|endoftext|>", "...", "<|user|>Hi", "..."}));
}

TEST_F(ChatProgram, ResetUndoAndRetry) {
  EXPECT_EQ(said_after("one\n/reset\ntwo"), (Said{"two", "..."}));
  EXPECT_EQ(said_after("one\ntwo\n/undo"), (Said{"one", "..."}));
  EXPECT_EQ(said_after("one\n/retry"), (Said{"one", "..."}));
  EXPECT_EQ(said_after("/undo"), (Said{}));
}

TEST_F(ChatProgram, FaultsAreToldAndTheChatGoesOn) {
  const auto expect_fault = [&](const std::string& typed, std::string_view part) {
    EXPECT_EQ(said_after("before\n" + typed + "\nafter", 1), (Said{"before", "...", "after", "..."}))
        << typed;
    const Finished finished = run(typed);
    EXPECT_EQ(finished.exit_code, 1);
    EXPECT_EQ(finished.out, "");
    EXPECT_NE(finished.err.find(part), std::string::npos) << finished.err;
  };
  expect_fault("/nonsense", "/nonsense: expected a command, one of those that /help lists");
  expect_fault("/save", "/save: expected the name of a file");
  expect_fault("/load " + (folder_.path() / "none.json").string(), "none.json");
  expect_fault("/load " + folder_.write("bad.json", "{\"format\": 1}").string(), "format: expected");
  expect_fault("broken \xff", "expected UTF-8 text");
  std::string long_message;
  for (int word = 0; word < 600; ++word) long_message += " word";
  expect_fault(long_message, "block_size");
  EXPECT_NE(run("/retry").err.find("expected a question"), std::string::npos);
}

TEST_F(ChatProgram, ASavedConversationGoesOnAsIfItHadNotEnded) {
  const std::string whole = run("What is a cell?\nAnd then?\n").out;
  const std::string first = run("What is a cell?\n/save " + file_ + "\n").out;
  EXPECT_EQ(first + run("/load " + file_ + "\nAnd then?\n").out, whole);
}

TEST_F(ChatProgram, TellsWhenTheOldestTurnsLeave) {
  std::string typed;
  for (int turn = 0; turn < 12; ++turn)
    typed +=
        "What did you say when I asked you about the number " + std::to_string(turn) +
        " and all of its many friends, who are numbers too, one after the other, as far as we can count?\n";
  const Finished finished = run(typed + typed);
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_NE(finished.err.find("the context was full: the model no longer sees the oldest "),
            std::string::npos);
  EXPECT_EQ(run(typed + typed, {"--overflow", "error"}).exit_code, 1);
}

TEST_F(ChatProgram, EachAnswerHasRandomNumbersOfItsOwn) {
  const std::vector<std::string> hot = {"chat", "--temperature", "1", "--top-p", "1", "--seed",
                                        "5",    "--max-tokens",  "16"};
  RunOptions typed;
  typed.stdin_text = "Hi\n/retry\n";
  const Finished finished = run_lille(hot, typed);
  EXPECT_EQ(run_lille(hot, typed).out, finished.out);
  RunOptions once;
  once.stdin_text = "Hi\n";
  const std::string first = run_lille(hot, once).out;
  ASSERT_TRUE(finished.out.starts_with(first));
  EXPECT_NE(finished.out.substr(first.size()), first);
}

TEST_F(ChatProgram, WrongUse) {
  expect_failure(kWrongUsage, "--logprobs", {"chat", "--logprobs"});
  expect_failure(kWrongUsage, "--temperature: expected", {"chat", "--temperature", "-1"});
  expect_failure(kFailed, "tokenizer", {"chat", "--model", toy_model().string()});
}

TEST_F(ChatProgram, EndsWhenNobodyReads) {
  RunOptions options;
  options.stdin_text = "Hi\nHi\n";
  options.stdout_file = "/dev/full";
  const Finished finished = run_lille({"chat", "--max-tokens", "4"}, options);
  EXPECT_EQ(finished.exit_code, kFailed);
  EXPECT_NE(finished.err.find("[stdout]"), std::string::npos) << finished.err;
}

TEST_F(ChatProgram, WhatNoAnswerCouldHaveIsRefusedAtTheStart) {
  expect_failure(kWrongUsage, "--stop: expected strings of at least one character", {"chat", "--stop", ""});
  expect_failure(kWrongUsage, "--overflow: expected trim-turns or error, got truncate-left",
                 {"chat", "--overflow", "truncate-left"});
}

TEST_F(ChatProgram, AMessageWithoutEndIsRefused) {
  RunOptions options;
  const auto from = [&](const std::string& source) {
    options.wrapper = {"/bin/sh", "-c", "" + source + " | head -c 100000000 | \"$0\" \"$@\""};
    expect_failure(kWrongUsage, "message: expected at most 16777216 bytes, got more", {"chat"}, options);
  };
  from("cat /dev/zero");
  from("{ echo '\"\"\"'; yes; }");
}

}  // namespace
}  // namespace lille::test
