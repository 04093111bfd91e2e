#pragma once

#include <string_view>

#include "lille/error.h"

namespace lille {

/// "invalid_argument" for kInvalidArgument: the code as a word, for JSON and other languages.
/// @return the beginning of a text that ends in a zero.
std::string_view error_code_name(ErrorCode code) noexcept;

}  // namespace lille
