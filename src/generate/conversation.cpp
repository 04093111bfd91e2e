#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "base/utf8.h"
#include "io/json.h"
#include "lille/chat.h"

namespace lille {
namespace {

constexpr std::string_view kFormat = "lille-chat";
constexpr uint64_t kVersion = 1;
constexpr std::size_t kMaxFileBytes = 16 << 20;

std::string fault_of(const ChatMessage& message, bool follows_question) {
  if (message.role != "user" && message.role != "assistant")
    return fmt::format("expected the role \"user\" or \"assistant\", got \"{}\". Hint: Lille has no others",
                       printable(message.role));
  if (message.role == "assistant" && !follows_question)
    return "expected an answer to follow a question, got one that follows none";
  if (!is_valid_utf8(message.content)) return "expected UTF-8 text, got bytes that are none";
  return "";
}

/// What is wrong with a conversation; empty if nothing is.
std::string fault_of(const Conversation& conversation) {
  const std::vector<ChatMessage>& messages = conversation.messages;
  for (std::size_t idx = 0; idx < messages.size(); ++idx) {
    const std::string fault = fault_of(messages[idx], idx > 0 && messages[idx - 1].role == "user");
    if (!fault.empty()) return fmt::format("message {}: {}", idx, fault);
  }
  const std::size_t begin = conversation.context_begin;
  const bool begins_turn =
      begin < messages.size() ? messages[begin].role == "user" : begin == messages.size();
  return begins_turn ? "" : fmt::format("context_begin: expected a message of the user, got {}", begin);
}

/// The parts of a file of one kind, whose path stands in every message.
class ConversationReader {
 public:
  explicit ConversationReader(const std::filesystem::path& path) : file_(printable_path(path)) {}

  Conversation read(std::string_view text) const {
    const nlohmann::json root = parse_json_object(text, {"load_conversation", file_});
    check_format(root);
    Conversation conversation;
    const nlohmann::json& messages = field(root, "messages", "", nlohmann::json::value_t::array, "an array");
    for (std::size_t idx = 0; idx < messages.size(); ++idx)
      conversation.messages.push_back(message(messages[idx], fmt::format("message {}: ", idx)));
    if (const auto begin = root.find("context_begin"); begin != root.end()) {
      if (!begin->is_number_unsigned()) refuse("context_begin", "a whole number", *begin);
      conversation.context_begin = begin->get<std::size_t>();
    }
    if (const std::string fault = fault_of(conversation); !fault.empty())
      raise(ErrorCode::kCorruptFile, "[load_conversation] {}: {}", file_, fault);
    return conversation;
  }

 private:
  [[noreturn]] void refuse(std::string_view where, std::string_view expected,
                           const nlohmann::json& got) const {
    raise(ErrorCode::kCorruptFile,
          "[load_conversation] {}: {}: expected {}, got {}. Hint: is it a conversation that /save wrote?",
          file_, where, expected, describe(got));
  }

  const nlohmann::json& field(const nlohmann::json& object, const char* name, const std::string& where,
                              nlohmann::json::value_t type, std::string_view type_name) const {
    const auto found = object.find(name);
    if (found == object.end() || found->type() != type)
      refuse(where + name, type_name, found == object.end() ? nlohmann::json() : *found);
    return *found;
  }

  void check_format(const nlohmann::json& root) const {
    const auto format = root.find("format");
    if (format == root.end() || *format != kFormat)
      refuse("format", fmt::format("\"{}\"", kFormat), format == root.end() ? nlohmann::json() : *format);
    const auto version = root.find("version");
    if (version == root.end() || !version->is_number_unsigned() || *version == 0)
      refuse("version", "a whole number from 1", version == root.end() ? nlohmann::json() : *version);
    // Numbers of two signs compare as signed ones: 2^64 - 1 would be less than 1.
    if (version->get<uint64_t>() > kVersion)
      raise(ErrorCode::kUnsupported,
            "[load_conversation] {}: version: expected at most {}, got {}. Hint: a newer lille wrote it",
            file_, kVersion, describe(*version));
  }

  ChatMessage message(const nlohmann::json& object, const std::string& where) const {
    if (!object.is_object()) refuse(where + "it", "an object", object);
    const auto text = [&](const char* name) {
      return field(object, name, where, nlohmann::json::value_t::string, "a text").get<std::string>();
    };
    return {text("role"), text("content")};
  }

  std::string file_;
};

}  // namespace

void check_conversation(const Conversation& conversation) {
  if (const std::string fault = fault_of(conversation); !fault.empty())
    raise(ErrorCode::kInvalidArgument, "[chat] {}", fault);
}

void save_conversation(const std::filesystem::path& path, const Conversation& conversation) {
  check_conversation(conversation);
  nlohmann::ordered_json root = {{"format", kFormat},
                                 {"version", kVersion},
                                 {"context_begin", conversation.context_begin},
                                 {"messages", nlohmann::ordered_json::array()}};
  for (const ChatMessage& message : conversation.messages)
    root["messages"].push_back({{"role", message.role}, {"content", message.content}});
  AtomicFile file(path);
  file.write(root.dump(2) + "\n");
  file.commit();
}

Conversation load_conversation(const std::filesystem::path& path) {
  return ConversationReader(path).read(read_text_file(path, kMaxFileBytes));
}

}  // namespace lille
