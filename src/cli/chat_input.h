#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "cli/line_editor.h"

namespace lille::cli {

/// Longest message, in bytes: far more than any context holds.
inline constexpr std::size_t kMaxMessageBytes = 16 << 20;

/// @throws Error(kInvalidArgument), always: somebody's message has more than kMaxMessageBytes.
[[noreturn]] void refuse_long_message();

/// What a person wants next in a chat.
struct ChatInput {
  enum class Kind { kMessage, kCommand, kInterrupt, kEnd };
  Kind kind = Kind::kEnd;
  std::string text;  ///< The message, or the command's name with its slash; at kInterrupt the line so far.
  std::string argument;  ///< Of a command, without spaces around it.
};

/// Gives the next line, after showing a prompt if there is anybody to see it.
using ReadLine = std::function<LineInput(std::string_view prompt)>;

/// Puts lines together to a message or a command (docs/CHAT.md): a backslash at the end of a line continues
/// it, three quotes begin and end a block, one slash begins a command and two a message. Empty messages are
/// skipped.
/// @throws Error(kInvalidArgument) for a message of more than kMaxMessageBytes.
ChatInput read_chat_input(const ReadLine& read_line);

}  // namespace lille::cli
