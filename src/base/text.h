#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace lille {

/// Bytes of the UTF-8 character that `text` begins with, 1 to 4; 0 if it begins with none (or is empty).
/// Overlong forms, surrogates and code points above U+10FFFF are no characters.
/// Source: Unicode 15, table 3-7.
std::size_t utf8_char_bytes(std::string_view text) noexcept;

bool is_valid_utf8(std::string_view text) noexcept;

/// Text that came from a file or a user, as it may stand in a message: one line of valid UTF-8. Bytes that
/// are no UTF-8 and control characters become `\x1b`, line separators and marks that change the direction of
/// writing become `\u{2028}`; what is longer than max_chars characters ends in `...`.
std::string printable(std::string_view text, std::size_t max_chars = 80);

/// A path as it may stand in a message; like printable, but whole.
std::string printable_path(const std::filesystem::path& path);

}  // namespace lille
