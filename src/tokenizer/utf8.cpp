#include "tokenizer/utf8.h"

#include <array>

#include "base/text.h"

namespace lille {
namespace {

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

Utf8Symbol first_utf8_symbol(std::string_view text) noexcept {
  const auto byte = [&](std::size_t byte_idx) {
    return uint32_t{static_cast<unsigned char>(text[byte_idx])};
  };
  const std::size_t n_bytes = utf8_char_bytes(text);
  if (n_bytes == 0) return {};
  if (n_bytes == 1) return {byte(0), 1};
  uint32_t code_point = byte(0) & (0x7fu >> n_bytes);
  for (std::size_t byte_idx = 1; byte_idx < n_bytes; ++byte_idx)
    code_point = code_point << 6 | (byte(byte_idx) & 0x3fu);
  return {code_point, n_bytes};
}

std::size_t unfinished_utf8_bytes(std::string_view text) noexcept {
  for (std::size_t n_bytes = 1; n_bytes <= 3 && n_bytes <= text.size(); ++n_bytes)
    if (can_become_a_character(text.substr(text.size() - n_bytes))) return n_bytes;
  return 0;
}

}  // namespace lille
