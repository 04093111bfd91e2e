#pragma once

#include <string_view>

namespace lille {

/// The text without the white space at its end, as Python's str.rstrip finds it: Unicode's White_Space and
/// the separators U+001C to U+001F.
std::string_view without_trailing_space(std::string_view text) noexcept;

/// The same at both ends, as str.strip.
std::string_view without_outer_space(std::string_view text) noexcept;

}  // namespace lille
