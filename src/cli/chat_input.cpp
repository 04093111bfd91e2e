#include "cli/chat_input.h"

#include <optional>

#include "base/check.h"

namespace lille::cli {
namespace {

constexpr std::string_view kPrompt = ">";
constexpr std::string_view kMore = ".";
constexpr std::string_view kQuotes = "\"\"\"";

std::string trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1));
}

void drop_return(std::string& line) {
  if (line.ends_with('\r')) line.pop_back();
}

ChatInput command(std::string_view line) {
  const std::size_t space = std::min(line.find_first_of(" \t"), line.size());
  return {ChatInput::Kind::kCommand, std::string(line.substr(0, space)), trimmed(line.substr(space))};
}

// Reads on until is_complete takes what there is, or the input ends. Nothing after Ctrl-C.
template <typename IsComplete>
std::optional<std::string> read_on(const ReadLine& read_line, std::string text, IsComplete&& is_complete) {
  while (!is_complete(text)) {
    LineInput more = read_line(kMore);
    if (more.kind == LineInput::Kind::kInterrupt) return std::nullopt;
    if (more.kind == LineInput::Kind::kEnd) return text;
    drop_return(more.text);
    text += "\n" + more.text;
    if (text.size() > kMaxMessageBytes) refuse_long_message();
  }
  return text;
}

bool end_block(std::string& text) {
  const std::size_t last = text.find_last_not_of(" \t\r\n");
  if (last == std::string::npos || !std::string_view(text).substr(0, last + 1).ends_with(kQuotes))
    return false;
  text.resize(last + 1 - kQuotes.size());
  return true;
}

bool end_continued(std::string& text) {
  if (!text.ends_with('\\')) return true;
  text.pop_back();
  return false;
}

ChatInput message_or_command(const std::string& text) {
  const bool begins_with_slash = text.starts_with('/');
  if (begins_with_slash && text.starts_with("//")) return {ChatInput::Kind::kMessage, text.substr(1), ""};
  if (begins_with_slash && text.find('\n') == std::string::npos) return command(text);
  return {ChatInput::Kind::kMessage, text, ""};
}

}  // namespace

void refuse_long_message() {
  raise(ErrorCode::kInvalidArgument,
        "[chat] message: expected at most {} bytes, got more. Hint: no context holds so much",
        kMaxMessageBytes);
}

ChatInput read_chat_input(const ReadLine& read_line) {
  while (true) {
    LineInput line = read_line(kPrompt);
    if (line.kind == LineInput::Kind::kEnd) return {};
    if (line.kind == LineInput::Kind::kInterrupt) return {ChatInput::Kind::kInterrupt, line.text, ""};
    drop_return(line.text);
    const bool is_block = line.text.starts_with(kQuotes);
    const std::optional<std::string> text =
        is_block ? read_on(read_line, line.text.substr(kQuotes.size()), end_block)
                 : read_on(read_line, line.text, end_continued);
    if (!text) return {ChatInput::Kind::kInterrupt, "block", ""};
    const std::string content = trimmed(*text);
    if (content.empty()) continue;
    return is_block ? ChatInput{ChatInput::Kind::kMessage, content, ""} : message_or_command(content);
  }
}

}  // namespace lille::cli
