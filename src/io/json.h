#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lille {

/// Where a JSON text comes from, for messages: `[action] file: ...`.
struct JsonSource {
  std::string_view action;  ///< The verb of the caller, "load_config".
  std::string_view file;    ///< Printable.
};

/// Parses a text that must be one JSON object. Stricter than the parser alone: a name that stands twice in
/// one object and nesting beyond 16 levels are errors.
/// @throws Error(kCorruptFile) that names the byte or the name.
nlohmann::json parse_json_object(std::string_view text, const JsonSource& source);

/// A value as it may stand in a message: a scalar as written in JSON, cut at 40 characters, else "an object"
/// and so on.
std::string describe(const nlohmann::json& value);

}  // namespace lille
