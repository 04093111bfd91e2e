#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace lille {

/// Text that came from a file or a user, as it may stand in a message: one line of valid UTF-8. Bytes that
/// are no UTF-8 and control characters become `\x1b`, line separators and marks that change the direction of
/// writing become `\u{2028}`; what is longer than max_chars characters ends in `...`.
std::string printable(std::string_view text, std::size_t max_chars = 80);

/// A path as it may stand in a message; like printable, but whole.
std::string printable_path(const std::filesystem::path& path);

}  // namespace lille
