#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "base/utf8.h"
#include "grammar/format_checks.h"
#include "grammar/pcre.h"

namespace lille::test {

/// Whether a document fulfils a JSON Schema, by the specification's words and not by a grammar. Keywords that
/// are not known are a failure. Source: JSON Schema 2020-12, Validation.
class SchemaValidator {
 public:
  explicit SchemaValidator(const std::string& schema) : root_(nlohmann::json::parse(schema)) {}

  bool fulfils(const nlohmann::json& value) const { return fulfils(value, root_); }

 private:
  using json = nlohmann::json;

  bool fulfils(const json& value, const json& schema) const {
    return std::ranges::all_of(schema.items(), [&](const auto& item) {
      return fulfils_keyword(value, schema, item.key(), item.value());
    });
  }

  bool fulfils_keyword(const json& value, const json& schema, const std::string& name,
                       const json& said) const {
    const auto is_valid = [&](const json& choice) { return fulfils(value, choice); };
    const auto is_named = [&](const json& type) { return is_of(value, type); };
    if (name == "$defs" || name == "description") return true;
    if (name == "$ref")
      return fulfils(value, root_.at(json::json_pointer(said.get<std::string>().substr(1))));
    if (name == "anyOf") return std::ranges::any_of(said, is_valid);
    if (name == "type") return said.is_array() ? std::ranges::any_of(said, is_named) : is_named(said);
    if (name == "enum") return std::ranges::find(said, value) != said.end();
    if (name == "const") return value == said;
    if (name == "required")
      return !value.is_object() || std::ranges::all_of(said, [&](const json& key) {
        return value.contains(key.get<std::string>());
      });
    if (name == "properties" || name == "additionalProperties") return fulfils_members(value, schema);
    if (name == "items")
      return !value.is_array() ||
             std::ranges::all_of(value, [&](const json& item) { return fulfils(item, said); });
    if (name == "minItems") return !value.is_array() || value.size() >= said.get<std::size_t>();
    if (name == "maxItems") return !value.is_array() || value.size() <= said.get<std::size_t>();
    if (name == "minLength") return !value.is_string() || n_characters(value) >= said.get<std::size_t>();
    if (name == "maxLength") return !value.is_string() || n_characters(value) <= said.get<std::size_t>();
    if (name == "pattern")
      return !value.is_string() || Pcre(said.get<std::string>()).is_found_in(value.get<std::string>());
    if (name == "format")
      return !value.is_string() || is_of_format(value.get<std::string>(), said.get<std::string>());
    return fulfils_limit(value, name, said);
  }

  static bool fulfils_limit(const json& value, const std::string& name, const json& said) {
    if (name == "minimum") return !value.is_number() || value >= said;
    if (name == "maximum") return !value.is_number() || value <= said;
    if (name == "exclusiveMinimum") return !value.is_number() || value > said;
    if (name == "exclusiveMaximum") return !value.is_number() || value < said;
    if (name != "multipleOf") return false;
    if (!value.is_number()) return true;
    // Both were rounded, as was the quotient.
    const double times = value.get<double>() / said.get<double>();
    return std::abs(times - std::round(times)) <=
           4 * std::numeric_limits<double>::epsilon() * std::abs(times);
  }

  bool fulfils_members(const json& value, const json& schema) const {
    if (!value.is_object()) return true;
    const json members = schema.value("properties", json::object());
    return std::ranges::all_of(value.items(), [&](const auto& item) {
      if (!members.contains(item.key())) return schema.value("additionalProperties", true);
      return fulfils(item.value(), members.at(item.key()));
    });
  }

  static bool is_of(const json& value, const json& type) {
    if (type == "number") return value.is_number();
    if (type == "integer") return value.is_number() && value.get<double>() == std::floor(value.get<double>());
    return type == value.type_name();
  }

  static std::size_t n_characters(const json& value) {
    std::size_t n = 0;
    for (std::string_view rest = value.get_ref<const std::string&>(); !rest.empty(); ++n)
      rest.remove_prefix(first_utf8_symbol(rest).n_bytes);
    return n;
  }

  json root_;
};

}  // namespace lille::test
