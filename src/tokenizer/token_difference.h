#pragma once

#include <string>
#include <string_view>

#include "lille/tokenizer.h"

namespace lille {

/// The first difference of two tokenizers in their tokens' number, bytes and roles: `token 65 is "A" in x,
/// "B" in y`.
/// @param name_a, name_b  what the message calls them.
/// @return empty if there is none; the order of merges is not looked at.
std::string token_difference(const Tokenizer& a, std::string_view name_a, const Tokenizer& b,
                             std::string_view name_b);

}  // namespace lille
