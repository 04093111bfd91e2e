#include "base/utf8.h"

#include <array>

namespace lille {
namespace {

uint32_t byte_at(std::string_view text, std::size_t idx) noexcept {
  return static_cast<unsigned char>(text[idx]);
}

/// Whether some bytes after `bytes` make one character of it. The second byte of a character has a range that
/// is cut off at one end at most, so if any continuation byte fits, the lowest or the highest does.
bool can_become_a_character(std::string_view bytes) noexcept {
  for (std::size_t n_bytes = bytes.size() + 1; n_bytes <= 4; ++n_bytes) {
    for (const char continuation : {'\x80', '\xbf'}) {
      std::array<char, 4> character;
      character.fill(continuation);
      bytes.copy(character.data(), bytes.size());
      if (utf8_char_bytes({character.data(), n_bytes}) == n_bytes) return true;
    }
  }
  return false;
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

Utf8Symbol first_utf8_symbol(std::string_view text) noexcept {
  const std::size_t n_bytes = utf8_char_bytes(text);
  if (n_bytes == 0) return {};
  if (n_bytes == 1) return {byte_at(text, 0), 1};
  uint32_t code_point = byte_at(text, 0) & (0x7fu >> n_bytes);
  for (std::size_t byte_idx = 1; byte_idx < n_bytes; ++byte_idx)
    code_point = code_point << 6 | (byte_at(text, byte_idx) & 0x3fu);
  return {code_point, n_bytes};
}

std::size_t unfinished_utf8_bytes(std::string_view text) noexcept {
  for (std::size_t n_bytes = 1; n_bytes <= 3 && n_bytes <= text.size(); ++n_bytes)
    if (can_become_a_character(text.substr(text.size() - n_bytes))) return n_bytes;
  return 0;
}

}  // namespace lille
