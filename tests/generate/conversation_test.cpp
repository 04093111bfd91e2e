#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "lille/chat.h"
#include "support.h"

namespace lille {
namespace {

class ConversationFile : public testing::Test {
 protected:
  test::TemporaryFolder folder_;

  void expect_refused(std::string_view part, std::string_view content,
                      ErrorCode code = ErrorCode::kCorruptFile) const {
    const std::filesystem::path file = folder_.write("chat.json", content);
    test::expect_error(code, "chat.json: ", [&] { load_conversation(file); });
    test::expect_error(code, part, [&] { load_conversation(file); });
  }

  // A whole file with these messages.
  static std::string with_messages(const std::string& messages, const std::string& more = "") {
    return R"({"format": "lille-chat", "version": 1, "messages": )" + messages + more + "}";
  }
};

TEST_F(ConversationFile, ComesBackAsItWas) {
  const Conversation saved = {{{"user", "<|endoftext|> \"quoted\"\n\tline\\"},
                               {"assistant", ""},
                               {"user",
                                "Gr\xC3\xBC\xC3\x9F"
                                "e \xF0\x9F\x8E\x89"},
                               {"user", std::string("nul\0byte", 8)},
                               {"assistant", "ok"}},
                              2};
  const std::filesystem::path file = folder_.path() / "chat.json";
  save_conversation(file, saved);
  const Conversation loaded = load_conversation(file);
  EXPECT_EQ(loaded.context_begin, 2U);
  ASSERT_EQ(loaded.messages.size(), saved.messages.size());
  for (std::size_t idx = 0; idx < saved.messages.size(); ++idx) {
    EXPECT_EQ(loaded.messages[idx].role, saved.messages[idx].role);
    EXPECT_EQ(loaded.messages[idx].content, saved.messages[idx].content);
  }
  save_conversation(file, {});
  EXPECT_TRUE(load_conversation(file).messages.empty());
}

TEST_F(ConversationFile, IsPlainJson) {
  const std::filesystem::path file = folder_.path() / "chat.json";
  save_conversation(file, {{{"user", "Hi"}, {"assistant", "Hello"}}, 0});
  const nlohmann::json expected = {
      {"format", "lille-chat"},
      {"version", 1},
      {"context_begin", 0},
      {"messages", {{{"role", "user"}, {"content", "Hi"}}, {{"role", "assistant"}, {"content", "Hello"}}}}};
  EXPECT_EQ(nlohmann::json::parse(test::read_file(file)), expected);
}

TEST_F(ConversationFile, ContextBeginAndUnknownFieldsMayBeMissingOrThere) {
  const std::filesystem::path file = folder_.write(
      "chat.json", with_messages(R"([{"role": "user", "content": "Hi", "x": 1}])", R"(, "y": [])"));
  EXPECT_EQ(load_conversation(file).messages.front().content, "Hi");
  EXPECT_EQ(load_conversation(file).context_begin, 0U);
}

TEST_F(ConversationFile, BrokenFilesAreRefused) {
  const std::string whole = with_messages(R"([{"role": "user", "content": "Hi"}])");
  for (std::size_t n_bytes = 0; n_bytes < whole.size(); ++n_bytes)
    expect_refused("JSON", std::string_view(whole).substr(0, n_bytes));
  expect_refused("expected a JSON object", "[]");
  expect_refused("JSON", with_messages("[{\"role\": \"user\", \"content\": \"\xff\"}]"));
  expect_refused("twice", with_messages("[]", R"(, "version": 1)"));
}

TEST_F(ConversationFile, WrongFieldsAreRefused) {
  expect_refused("format: expected \"lille-chat\", got null", "{}");
  expect_refused("format: expected \"lille-chat\", got 3", R"({"format": 3})");
  expect_refused("version: expected a whole number from 1, got null", R"({"format": "lille-chat"})");
  expect_refused("got 0", R"({"format": "lille-chat", "version": 0})");
  expect_refused("got -1", R"({"format": "lille-chat", "version": -1})");
  expect_refused("got 1.5", R"({"format": "lille-chat", "version": 1.5})");
  expect_refused("expected at most 1, got 2. Hint: a newer lille",
                 R"({"format": "lille-chat", "version": 2})", ErrorCode::kUnsupported);
  for (const char* version : {"9223372036854775807", "9223372036854775808", "18446744073709551615"})
    expect_refused(std::string("expected at most 1, got ") + version,
                   std::string(R"({"format": "lille-chat", "version": )") + version + R"(, "messages": []})",
                   ErrorCode::kUnsupported);
  expect_refused("messages: expected an array, got null", R"({"format": "lille-chat", "version": 1})");
  expect_refused("messages: expected an array, got an object", with_messages("{}"));
  expect_refused("message 0: it: expected an object, got 7", with_messages("[7]"));
  expect_refused("message 0: role: expected a text, got null", with_messages("[{}]"));
  expect_refused("message 0: content: expected a text, got 1",
                 with_messages(R"([{"role":"user","content":1}])"));
}

TEST_F(ConversationFile, WrongConversationsAreRefused) {
  const std::string question = R"({"role": "user", "content": "Hi"})";
  const std::string answer = R"({"role": "assistant", "content": "Hello"})";
  expect_refused("message 0: expected the role \"user\" or \"assistant\", got \"system\"",
                 with_messages(R"([{"role": "system", "content": "Be brief."}])"));
  expect_refused("message 0: expected an answer to follow a question", with_messages("[" + answer + "]"));
  expect_refused("message 2: expected an answer to follow a question",
                 with_messages("[" + question + "," + answer + "," + answer + "]"));
  const std::string turn = "[" + question + "," + answer + "]";
  expect_refused("context_begin: expected a message of the user, got 1",
                 with_messages(turn, R"(, "context_begin": 1)"));
  expect_refused("context_begin: expected a message of the user, got 3",
                 with_messages(turn, R"(, "context_begin": 3)"));
  expect_refused("context_begin: expected a whole number, got -1",
                 with_messages(turn, R"(, "context_begin": -1)"));
  expect_refused("context_begin: expected a whole number, got \"0\"",
                 with_messages(turn, R"(, "context_begin": "0")"));
}

TEST_F(ConversationFile, SizeIsLimited) {
  expect_refused("expected at most 16777216 bytes", with_messages("[]", std::string(16 << 20, ' ')));
}

TEST_F(ConversationFile, WhatCannotBeSavedIsNotWritten) {
  const std::filesystem::path file = folder_.write("chat.json", "old");
  test::expect_error(ErrorCode::kInvalidArgument, "message 0: expected UTF-8 text", [&] {
    save_conversation(file, {{{"user", "\xff"}}, 0});
  });
  EXPECT_EQ(test::read_file(file), "old");
  test::expect_error(ErrorCode::kNotFound, "no such folder",
                     [&] { save_conversation(folder_.path() / "none" / "chat.json", {}); });
  test::expect_error(ErrorCode::kNotFound, "none.json",
                     [&] { load_conversation(folder_.path() / "none.json"); });
}

}  // namespace
}  // namespace lille
