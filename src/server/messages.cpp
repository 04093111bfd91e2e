#include <algorithm>

#include "base/text.h"
#include "io/json.h"
#include "server/generation_request.h"

namespace lille {
namespace {

using nlohmann::json;

std::string read_part(const json& part, const std::string& where) {
  Fields fields(part, where + ".");
  const std::optional<std::string> type = fields.text("type");
  if (type != "text")
    refuse_field(where + ".type", "\"text\", since the model reads nothing else",
                 type ? fmt::format("\"{}\"", printable(*type)) : "none");
  const std::optional<std::string> text = fields.text("text");
  if (!text) refuse_field(where + ".text", "a text", "none");
  return *text;
}

// A text, or the parts of an array one after the other.
std::string read_content(const json* content, const std::string& where) {
  if (content == nullptr) refuse_field(where, "a text or an array of text parts", "none");
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) refuse_field(where, "a text or an array of text parts", describe(*content));
  std::string text;
  for (std::size_t idx = 0; idx < content->size(); ++idx)
    text += read_part((*content)[idx], fmt::format("{}[{}]", where, idx));
  return text;
}

bool is_of_system(const ChatMessage& message) {
  return message.role == "system" || message.role == "developer";
}

ChatMessage read_message(const json& value, const std::string& where, const ServedModel& model) {
  Fields fields(value, where + ".");
  const std::optional<std::string> role = fields.text("role");
  if (role != "user" && role != "assistant" && role != "system" && role != "developer")
    refuse_field(where + ".role", "\"user\", \"assistant\", \"system\" or \"developer\"",
                 role ? fmt::format("\"{}\"", printable(*role)) : "none");
  ChatMessage message = {*role, read_content(fields.find("content"), where + ".content")};
  if (model.refuses_system && is_of_system(message))
    refuse_field(where + ".role", "\"user\" or \"assistant\", since Lille was trained without a system role",
                 fmt::format("\"{}\"", message.role));
  return message;
}

}  // namespace

std::vector<int32_t> read_messages(const json& messages, const ServedModel& model) {
  if (!messages.is_array() || messages.empty())
    refuse_field("messages", "an array of objects with role and content",
                 messages.is_array() ? "an empty one" : describe(messages));
  std::string system;
  std::vector<ChatMessage> chat;
  for (std::size_t idx = 0; idx < messages.size(); ++idx) {
    const std::string where = fmt::format("messages[{}]", idx);
    ChatMessage message = read_message(messages[idx], where, model);
    if (is_of_system(message)) {
      system += message.content + "\n\n";
      continue;
    }
    if (message.role == "assistant" && (chat.empty() || chat.back().role == "assistant"))
      refuse_field(where + ".role", "a message of the user before an answer", "\"assistant\"");
    chat.push_back(std::move(message));
  }
  if (chat.empty() || chat.back().role != "user")
    refuse_field("messages", "the last of them from the user",
                 chat.empty() ? "none from the user" : "\"assistant\"");
  // The first is the user's, since an answer follows a message.
  chat.front().content.insert(0, system);
  return model.tokenizer.apply_chat_template(chat);
}

}  // namespace lille
