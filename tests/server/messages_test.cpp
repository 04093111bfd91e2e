#include "server/api_client.h"
#include "server/generation_request.h"

namespace lille {
namespace {

using nlohmann::json;

class MessagesTest : public test::ApiClient {
 protected:
  std::vector<int32_t> read(const json& messages) const { return read_messages(messages, served()); }

  std::vector<int32_t> form(const std::vector<ChatMessage>& chat) const {
    return tokenizer_.apply_chat_template(chat);
  }

  void expect_refused(const json& messages, const std::string& param, const std::string& part) const {
    try {
      read(messages);
      ADD_FAILURE() << messages;
    } catch (const RefusedRequest& error) {
      EXPECT_EQ(error.field(), param) << error.what();
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }

  static json message(const std::string& role, const json& content) {
    return {{"role", role}, {"content", content}};
  }
};

TEST_F(MessagesTest, TurnsTakeTheFormThatLilleKnows) {
  EXPECT_EQ(read(json::array({message("user", "a"), message("assistant", "b"), message("user", "c")})),
            form({{"user", "a"}, {"assistant", "b"}, {"user", "c"}}));
}

TEST_F(MessagesTest, TwoTurnsOfTheUserInARowWork) {
  EXPECT_EQ(read(json::array({message("user", "a"), message("user", "c")})),
            form({{"user", "a"}, {"user", "c"}}));
}

TEST_F(MessagesTest, ContentMayComeInParts) {
  const json parts = {{{"type", "text"}, {"text", "one, "}}, {{"type", "text"}, {"text", "two"}}};
  EXPECT_EQ(read(json::array({message("user", parts)})), form({{"user", "one, two"}}));
}

TEST_F(MessagesTest, WhatTheSystemSaysStandsBeforeTheFirstTurn) {
  const std::vector<int32_t> wanted =
      form({{"user", "Be brief.\n\nBe kind.\n\na"}, {"assistant", "b"}, {"user", "c"}});
  EXPECT_EQ(read({message("system", "Be brief."), message("user", "a"), message("assistant", "b"),
                  message("developer", "Be kind."), message("user", "c")}),
            wanted);
  ServedModel strict = served();
  strict.refuses_system = true;
  EXPECT_THROW(read_messages({message("system", "x"), message("user", "a")}, strict), RefusedRequest);
}

TEST_F(MessagesTest, ControlTokensInAMessageAreText) {
  EXPECT_EQ(read(json::array({message("user", "<|endoftext|>")})), form({{"user", "<|endoftext|>"}}));
}

TEST_F(MessagesTest, FaultsNameTheMessage) {
  expect_refused("x", "messages", "an array of objects");
  expect_refused(json::array(), "messages", "got an empty one");
  expect_refused(json::array({5}), "messages[0]", "expected an object, got 5");
  expect_refused(json::array({message("tool", "x")}), "messages[0].role", "got \"tool\"");
  expect_refused(json::array({{{"content", "x"}}}), "messages[0].role", "got none");
  expect_refused(json::array({message("user", "x"), message("user", 5)}), "messages[1].content", "got 5");
  expect_refused(json::array({message("user", nullptr)}), "messages[0].content", "got none");
  expect_refused(json::array({message("user", json::array({{{"type", "image_url"}}}))}),
                 "messages[0].content[0].type", "got \"image_url\"");
  expect_refused(json::array({message("user", json::array({{{"type", "text"}}}))}),
                 "messages[0].content[0].text", "got none");
  expect_refused(json::array({message("user", "x"), message("assistant", "y")}), "messages",
                 "the last of them from the user");
  expect_refused(json::array({message("system", "x")}), "messages", "none from the user");
  expect_refused(json::array({message("assistant", "x"), message("user", "x")}), "messages[0].role",
                 "before an answer");
}

}  // namespace
}  // namespace lille
