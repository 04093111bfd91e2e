#include "base/text.h"

#include <fmt/format.h>

#include <cstdint>
#include <limits>

namespace lille {
namespace {

uint32_t byte_at(std::string_view text, std::size_t idx) noexcept {
  return static_cast<unsigned char>(text[idx]);
}

/// The code point of a valid character.
uint32_t decode(std::string_view character) noexcept {
  if (character.size() == 1) return byte_at(character, 0);
  uint32_t code_point = byte_at(character, 0) & (0x7fu >> character.size());
  for (std::size_t idx = 1; idx < character.size(); ++idx)
    code_point = (code_point << 6) | (byte_at(character, idx) & 0x3fu);
  return code_point;
}

bool breaks_a_line_of_text(uint32_t code_point) noexcept {
  const bool is_control = code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0);
  const bool is_separator_or_direction = code_point >= 0x2028 && code_point <= 0x202e;
  const bool is_direction_isolate = code_point >= 0x2066 && code_point <= 0x2069;
  return is_control || is_separator_or_direction || is_direction_isolate;
}

}  // namespace

std::size_t utf8_char_bytes(std::string_view text) noexcept {
  if (text.empty()) return 0;
  const uint32_t first = byte_at(text, 0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const std::size_t n_bytes = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (text.size() < n_bytes) return 0;
  for (std::size_t idx = 1; idx < n_bytes; ++idx)
    if ((byte_at(text, idx) & 0xc0u) != 0x80u) return 0;
  const uint32_t second = byte_at(text, 1);
  if (first == 0xe0 && second < 0xa0) return 0;
  if (first == 0xed && second > 0x9f) return 0;
  if (first == 0xf0 && second < 0x90) return 0;
  if (first == 0xf4 && second > 0x8f) return 0;
  return n_bytes;
}

bool is_valid_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t n_bytes = utf8_char_bytes(text);
    if (n_bytes == 0) return false;
    text.remove_prefix(n_bytes);
  }
  return true;
}

std::string printable(std::string_view text, std::size_t max_chars) {
  std::string result;
  for (std::size_t n_chars = 0; !text.empty(); ++n_chars) {
    if (n_chars == max_chars) return result + "...";
    const std::size_t n_bytes = utf8_char_bytes(text);
    const std::string_view character = text.substr(0, n_bytes == 0 ? 1 : n_bytes);
    const uint32_t code_point = n_bytes == 0 ? byte_at(character, 0) : decode(character);
    if (n_bytes == 0 || (code_point < 0x80 && breaks_a_line_of_text(code_point)))
      result += fmt::format("\\x{:02x}", code_point);
    else if (breaks_a_line_of_text(code_point))
      result += fmt::format("\\u{{{:x}}}", code_point);
    else
      result += character;
    text.remove_prefix(character.size());
  }
  return result;
}

std::string printable_path(const std::filesystem::path& path) {
  return printable(path.native(), std::numeric_limits<std::size_t>::max());
}

}  // namespace lille
