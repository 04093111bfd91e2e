#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lille {

/// Bytes of the UTF-8 character that `text` begins with, 1 to 4; 0 if it begins with none (or is empty).
/// Overlong forms, surrogates and code points above U+10FFFF are no characters.
/// Source: Unicode 15, table 3-7.
std::size_t utf8_char_bytes(std::string_view text) noexcept;

/// Whether the whole text consists of such characters.
bool is_valid_utf8(std::string_view text) noexcept;

/// One character of a text, or one byte that belongs to none.
struct Utf8Symbol {
  static constexpr uint32_t kNoCharacter = 0xffffffffu;

  uint32_t code_point = kNoCharacter;
  std::size_t n_bytes = 1;
};

/// The symbol at the start of `text`, which is not empty.
Utf8Symbol first_utf8_symbol(std::string_view text) noexcept;

/// How many bytes at the end of `text` are the beginning of a character that further bytes can complete: 0
/// to 3.
std::size_t unfinished_utf8_bytes(std::string_view text) noexcept;

}  // namespace lille
