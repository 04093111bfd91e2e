#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lille {

/// One character of a text, or one byte that belongs to none.
struct Utf8Symbol {
  static constexpr uint32_t kNoCharacter = 0xffffffffu;

  uint32_t code_point = kNoCharacter;
  uint32_t n_bytes = 1;
};

/// How many bytes the character that `lead` begins has: 1 to 4; 0 for a byte that begins none.
/// Source: Unicode 15, table 3-7 "Well-Formed UTF-8 Byte Sequences".
constexpr uint32_t utf8_length(unsigned char lead) noexcept {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 0;
}

/// Whether `second` can follow `lead`: no overlong forms, no surrogates, nothing above U+10FFFF.
constexpr bool utf8_second_fits(unsigned char lead, unsigned char second) noexcept {
  const unsigned char lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned char highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  return second >= lowest && second <= highest;
}

/// The symbol at the start of `text`, which is not empty.
constexpr Utf8Symbol first_utf8_symbol(std::string_view text) noexcept {
  const auto byte = [&](std::size_t byte_idx) { return static_cast<unsigned char>(text[byte_idx]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const uint32_t n_bytes = utf8_length(lead);
  if (n_bytes == 0 || text.size() < n_bytes || !utf8_second_fits(lead, byte(1))) return {};
  uint32_t code_point = lead & (0x7fu >> n_bytes);
  for (uint32_t byte_idx = 1; byte_idx < n_bytes; ++byte_idx) {
    if ((byte(byte_idx) & 0xc0u) != 0x80u) return {};
    code_point = code_point << 6 | (byte(byte_idx) & 0x3fu);
  }
  return {code_point, n_bytes};
}

/// Whether all of `text` is UTF-8.
constexpr bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const Utf8Symbol symbol = first_utf8_symbol(text);
    if (symbol.code_point == Utf8Symbol::kNoCharacter) return false;
    text.remove_prefix(symbol.n_bytes);
  }
  return true;
}

/// How many bytes at the end of `text` are the beginning of a character that further bytes can complete: 0
/// to 3.
constexpr std::size_t unfinished_utf8_bytes(std::string_view text) noexcept {
  for (std::size_t n_bytes = 1; n_bytes <= 3 && n_bytes <= text.size(); ++n_bytes) {
    const auto lead = static_cast<unsigned char>(text[text.size() - n_bytes]);
    if ((lead & 0xc0u) == 0x80u) continue;
    if (utf8_length(lead) <= n_bytes) return 0;
    // Bytes after the second can be any continuation byte, which they are: the loop passed them.
    const bool fits =
        n_bytes == 1 || utf8_second_fits(lead, static_cast<unsigned char>(text[text.size() - n_bytes + 1]));
    return fits ? n_bytes : 0;
  }
  return 0;
}

}  // namespace lille
