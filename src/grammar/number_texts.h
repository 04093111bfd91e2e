#pragma once

#include <map>
#include <string>
#include <string_view>

#include "grammar/ordered_json.h"

namespace lille {

/// How the numbers of a document that are no whole ones of 64 bits are written: a double may not be what was
/// said.
/// @param root  what was read of the text; no name stands twice in one object.
/// @return by number, pointers into `root`.
std::map<const OrderedJson*, std::string> number_texts(const OrderedJson& root, std::string_view text);

}  // namespace lille
