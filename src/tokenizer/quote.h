#pragma once

#include <string>
#include <string_view>

#include "base/text.h"

namespace lille {

/// A token or a line of a file as it may stand in a message: in quotes, printable, cut off after 48
/// characters.
inline std::string quote(std::string_view text) { return '"' + printable(text, 48) + '"'; }

}  // namespace lille
