#pragma once

#include <span>
#include <string>
#include <string_view>

namespace lille {

/// The value that a path of names leads to, as compact JSON in which the names of objects keep their order
/// and numbers with a fraction or an exponent their digits. Time and memory are linear in the text.
/// @param text  JSON that parse_json_object has taken: no name stands twice in one object.
/// @param path  {"a", "b"}: the member b of the member a; not empty.
/// @return empty if there is no such value.
std::string json_text_at(std::string_view text, std::span<const std::string_view> path);

}  // namespace lille
