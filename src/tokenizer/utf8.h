#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lille {

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
