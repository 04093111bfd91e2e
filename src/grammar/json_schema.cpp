#include "grammar/json_schema.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/text.h"
#include "grammar/compiled_grammar.h"
#include "grammar/grammar_text.h"
#include "grammar/integer_range.h"
#include "grammar/json_rules.h"
#include "io/json.h"

namespace lille {
namespace {

// The names of an object in their order, each found by a search of its own: nlohmann::ordered_map looks at
// one after the other, which for the names of a whole schema takes the square of their number. Nothing is
// erased.
template <typename Key, typename Value, typename Less, typename Allocator>
class OrderedMap : public nlohmann::ordered_map<Key, Value, Less, Allocator> {
  using Base = nlohmann::ordered_map<Key, Value, Less, Allocator>;

 public:
  using typename Base::const_iterator;
  using typename Base::iterator;

  std::pair<iterator, bool> emplace(const Key& key, Value&& value) {
    const bool is_new = indices_.try_emplace(key, this->size()).second;
    if (is_new) this->emplace_back(key, std::move(value));
    return {find(key), is_new};
  }
  Value& operator[](const Key& key) { return emplace(key, Value()).first->second; }
  const_iterator find(std::string_view key) const { return this->begin() + index_of(key); }
  iterator find(std::string_view key) { return this->begin() + index_of(key); }
  std::size_t count(std::string_view key) const { return indices_.contains(key) ? 1 : 0; }

 private:
  // That of the end if there is no such name.
  std::ptrdiff_t index_of(std::string_view key) const {
    const auto found = indices_.find(key);
    return static_cast<std::ptrdiff_t>(found == indices_.end() ? this->size() : found->second);
  }

  // Sorted and not hashed: whoever writes the names cannot make them collide.
  std::map<Key, std::size_t, std::less<>> indices_;
};

using Json = nlohmann::basic_json<OrderedMap>;
using Keywords = std::vector<std::string_view>;

// Say nothing of which documents are allowed.
const Keywords kNotes = {"title",    "description", "default",  "examples",  "$schema", "$id",
                         "$comment", "deprecated",  "readOnly", "writeOnly", "$defs",   "definitions"};

struct TypeName {
  std::string_view name;
  Keywords keywords;
};

const std::array<TypeName, 7> kTypes = {{
    {"object", {"properties", "required", "additionalProperties"}},
    {"array", {"items", "minItems", "maxItems"}},
    {"string", {"minLength", "maxLength"}},
    {"number", {}},
    {"integer", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}},
    {"boolean", {}},
    {"null", {}},
}};

bool has(const Keywords& keywords, std::string_view name) {
  return std::ranges::find(keywords, name) != keywords.end();
}

[[noreturn]] void refuse(std::string_view path, std::string_view expected, std::string_view got) {
  raise(ErrorCode::kInvalidArgument, "{}: expected {}, got {}", path, expected, got);
}

std::string described(const Json& value) {
  if (value.is_object() || value.is_array()) return value.is_object() ? "an object" : "an array";
  return printable(value.dump(-1, ' ', false, Json::error_handler_t::replace), 40);
}

std::string child(std::string_view path, std::string_view name) {
  return fmt::format("{}.{}", path, printable(name, 40));
}

// As they stand in a document. A name comes from JSON, so that it is UTF-8.
std::string written(const Json& value) { return value.dump(); }

class SchemaReader {
 public:
  SchemaReader(const Json& root, std::string_view where) : root_(root), where_(where), json_(rules_) {
    rules_.where = where;
  }

  RuleSet read() {
    rules_.root = number_of(root_, std::string(where_));
    // What is referred to is read here and not where it is met, so that nothing nests deeper than the text.
    while (!waiting_.empty()) {
      const Waiting next = waiting_.front();
      waiting_.pop_front();
      Expression expression = read_schema(*next.schema, next.path);
      rules_.rules[next.number] = std::move(expression);
    }
    return std::move(rules_);
  }

 private:
  struct Waiting {
    uint32_t number;
    const Json* schema;
    std::string path;
  };

  uint32_t number_of(const Json& schema, std::string path) {
    const auto [known, is_new] = numbers_.try_emplace(&schema, 0);
    if (!is_new) return known->second;
    known->second = rules_.add(path);
    waiting_.push_back({known->second, &schema, std::move(path)});
    return known->second;
  }

  Expression read_schema(const Json& schema, const std::string& path) {
    if (schema == true) return json_.any_value();
    if (!schema.is_object()) refuse(path, "a schema, which is an object or true", described(schema));
    if (schema.contains("$ref")) return read_reference(schema, path);
    if (schema.contains("anyOf")) return read_any_of(schema, path);
    if (schema.contains("const") || schema.contains("enum")) return read_values(schema, path);
    return read_types(schema, path);
  }

  void check_keywords(const Json& schema, const std::string& path, const Keywords& known,
                      std::string_view beside) {
    for (const auto& [name, value] : schema.items()) {
      if (has(kNotes, name) || has(known, name)) continue;
      raise(ErrorCode::kInvalidArgument,
            "{}: not understood {}, expected {}. Hint: docs/GRAMMAR.md lists what is", child(path, name),
            beside, known.empty() ? "nothing" : fmt::format("{}", fmt::join(known, ", ")));
    }
  }

  Expression read_reference(const Json& schema, const std::string& path) {
    check_keywords(schema, path, {"$ref"}, "beside $ref");
    const Json& reference = schema["$ref"];
    const std::string at = child(path, "$ref");
    if (!reference.is_string() || !reference.get_ref<const std::string&>().starts_with('#'))
      refuse(at, "\"#\" or \"#/$defs/NAME\"", described(reference));
    const std::string pointer = reference.get<std::string>().substr(1);
    try {
      const Json& target = root_.at(Json::json_pointer(pointer));
      std::string place = printable(pointer);
      std::ranges::replace(place, '/', '.');
      return rule_of(number_of(target, std::string(where_) + place));
    } catch (const Json::exception&) {
      refuse(at, "a place in this schema, such as \"#/$defs/NAME\"", described(reference));
    }
  }

  Expression read_any_of(const Json& schema, const std::string& path) {
    check_keywords(schema, path, {"anyOf"}, "beside anyOf");
    const Json& choices = schema["anyOf"];
    const std::string at = child(path, "anyOf");
    if (!choices.is_array() || choices.empty())
      refuse(at, "an array of schemas", choices.is_array() ? "an empty one" : described(choices));
    std::vector<Expression> parts;
    for (std::size_t idx = 0; idx < choices.size(); ++idx)
      parts.push_back(read_schema(choices[idx], fmt::format("{}[{}]", at, idx)));
    return choice_of(std::move(parts));
  }

  Expression read_values(const Json& schema, const std::string& path) {
    check_keywords(schema, path, {"const", "enum", "type"}, "beside const and enum");
    const bool is_const = schema.contains("const");
    if (is_const && schema.contains("enum")) refuse(path, "const or enum, one of them", "both");
    const std::string at = child(path, is_const ? "const" : "enum");
    const Json values = is_const ? Json::array({schema["const"]}) : schema["enum"];
    if (!values.is_array() || values.empty())
      refuse(at, "an array of values", values.is_array() ? "an empty one" : described(values));
    std::vector<std::string_view> types;
    if (schema.contains("type")) types = read_type_names(schema["type"], child(path, "type"));
    std::vector<Expression> parts;
    for (const Json& value : values) {
      const auto is_of = [&value](std::string_view type) { return is_of_type(value, type); };
      if (types.empty() || std::ranges::any_of(types, is_of)) parts.push_back(bytes_of(written(value)));
    }
    if (parts.empty()) refuse(at, "a value of the type beside it", "none");
    return choice_of(std::move(parts));
  }

  static bool is_of_type(const Json& value, std::string_view type) {
    if (type == "integer") {
      if (!value.is_number_float()) return value.is_number();
      const auto number = value.get<double>();
      return number == std::floor(number);
    }
    return type == (value.is_number() ? "number" : value.type_name());
  }

  static std::vector<std::string_view> read_type_names(const Json& type, const std::string& path) {
    constexpr std::string_view kExpected = "object, array, string, number, integer, boolean or null";
    std::vector<std::string_view> names;
    const auto add = [&](const Json& name) {
      const auto is_said = [&name](std::string_view known) { return name == known; };
      const auto known = std::ranges::find_if(kTypes, is_said, &TypeName::name);
      if (known == kTypes.end()) refuse(path, kExpected, described(name));
      // Each of them would be read again.
      if (has(names, known->name)) refuse(path, "each type once", fmt::format("{} twice", described(name)));
      names.push_back(known->name);
    };
    if (!type.is_array()) {
      add(type);
      return names;
    }
    for (const Json& name : type) add(name);
    if (names.empty()) refuse(path, kExpected, "an empty array");
    return names;
  }

  Expression read_types(const Json& schema, const std::string& path) {
    if (!schema.contains("type")) {
      check_keywords(schema, path, {"type", "anyOf", "enum", "const", "$ref"}, "without a type");
      return json_.any_value();
    }
    const std::vector<std::string_view> names = read_type_names(schema["type"], child(path, "type"));
    Keywords known = {"type"};
    for (const TypeName& type : kTypes) {
      // Bounds of an integer would hold for every number, which is never bounded.
      if (!has(names, type.name) || (type.name == "integer" && has(names, "number"))) continue;
      known.insert(known.end(), type.keywords.begin(), type.keywords.end());
    }
    check_keywords(schema, path, known, fmt::format("for the type {}", fmt::join(names, ", ")));
    std::vector<Expression> parts;
    for (const std::string_view name : names) parts.push_back(read_type(name, schema, path));
    return choice_of(std::move(parts));
  }

  Expression read_type(std::string_view name, const Json& schema, const std::string& path) {
    if (name == "object") return read_object(schema, path);
    if (name == "array") return read_array(schema, path);
    if (name == "integer") return read_integer(schema, path);
    if (name == "number") return json_.number();
    if (name == "boolean") return json_.boolean();
    if (name == "null") return json_.null();
    const auto [min, max] = read_counts(schema, path, "minLength", "maxLength");
    return json_.text(min, max);
  }

  std::pair<uint32_t, uint32_t> read_counts(const Json& schema, const std::string& path, const char* min_name,
                                            const char* max_name) {
    const auto read = [&](const char* name, uint32_t absent) {
      const auto found = schema.find(name);
      if (found == schema.end()) return absent;
      if (!found->is_number_unsigned() || found->get<uint64_t>() > kMaxRepetitions)
        refuse(child(path, name), fmt::format("a whole number from 0 to {}", kMaxRepetitions),
               described(*found));
      return found->get<uint32_t>();
    };
    const uint32_t min = read(min_name, 0);
    const uint32_t max = read(max_name, Expression::kUnbounded);
    if (max < min)
      refuse(child(path, max_name), fmt::format("at least {}'s {}", min_name, min), fmt::to_string(max));
    return {min, max};
  }

  Expression read_array(const Json& schema, const std::string& path) {
    const auto [min, max] = read_counts(schema, path, "minItems", "maxItems");
    Expression item =
        schema.contains("items") ? read_schema(schema["items"], child(path, "items")) : json_.any_value();
    // A rule of its own: it stands in the array twice.
    const uint32_t number = rules_.add(child(path, "items"));
    rules_.rules[number] = std::move(item);
    return json_.array_of(rule_of(number), min, max);
  }

  Expression read_integer(const Json& schema, const std::string& path) {
    std::optional<int64_t> min;
    std::optional<int64_t> max;
    for (const char* name : {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"}) {
      const auto found = schema.find(name);
      if (found == schema.end()) continue;
      if (!found->is_number_integer() ||
          std::abs(found->get<double>()) > static_cast<double>(kMaxWrittenInteger))
        refuse(child(path, name), "a whole number of at most 16 digits", described(*found));
      const std::string_view keyword = name;
      const int64_t excluded = keyword.starts_with("exclusive") ? 1 : 0;
      const auto bound = found->get<int64_t>();
      if (keyword.ends_with("inimum"))
        min = std::max(min.value_or(-kMaxWrittenInteger), bound + excluded);
      else
        max = std::min(max.value_or(kMaxWrittenInteger), bound - excluded);
    }
    if (!min && !max) return json_.integer();
    const int64_t first = min.value_or(-kMaxWrittenInteger);
    const int64_t last = max.value_or(kMaxWrittenInteger);
    if (first > last) refuse(path, "bounds that a whole number is between", "none");
    return integers_between(std::max(first, -kMaxWrittenInteger), std::min(last, kMaxWrittenInteger));
  }

  Expression read_object(const Json& schema, const std::string& path) {
    const auto additional = schema.find("additionalProperties");
    if (additional != schema.end() && *additional != false)
      refuse(child(path, "additionalProperties"), "false", described(*additional));
    const auto properties = schema.find("properties");
    if (properties == schema.end() && additional == schema.end() && !schema.contains("required"))
      return json_.any_object();
    const Json none = Json::object();
    const Json& members = properties == schema.end() ? none : *properties;
    if (!members.is_object()) refuse(child(path, "properties"), "an object of schemas", described(members));
    return read_members(members, read_required(schema, members, path), child(path, "properties"));
  }

  std::vector<std::string> read_required(const Json& schema, const Json& members, const std::string& path) {
    const auto found = schema.find("required");
    if (found == schema.end()) return {};
    const std::string at = child(path, "required");
    if (!found->is_array()) refuse(at, "an array of names", described(*found));
    std::vector<std::string> names;
    for (const Json& name : *found) {
      if (!name.is_string() || !members.contains(name.get_ref<const std::string&>()))
        refuse(at, "names that stand in properties", described(name));
      names.push_back(name.get<std::string>());
    }
    std::ranges::sort(names);
    return names;
  }

  // The members in their order, each with or without those that need not be there. What may follow depends on
  // whether a member stands before: a rule for either case from each member on.
  Expression read_members(const Json& members, const std::vector<std::string>& required,
                          const std::string& path) {
    Expression first = sequence_of({});
    Expression further = sequence_of({});
    for (auto member = members.rbegin(); member != members.rend(); ++member) {
      const std::string& name = member.key();
      const std::string at = child(path, name);
      const uint32_t number = rules_.add(at);
      Expression value = read_schema(member.value(), at);
      rules_.rules[number] = sequence_of({bytes_of(written(name)), json_.colon(), std::move(value)});
      const uint32_t rest = rules_.add(at);
      rules_.rules[rest] = std::move(further);
      Expression begin = sequence_of({rule_of(number), rule_of(rest)});
      further = sequence_of({json_.comma(), rule_of(number), rule_of(rest)});
      if (std::ranges::binary_search(required, name)) {
        first = std::move(begin);
        continue;
      }
      const uint32_t without = rules_.add(at);
      rules_.rules[without] = std::move(first);
      first = choice_of({std::move(begin), rule_of(without)});
      further = choice_of({std::move(further), rule_of(rest)});
    }
    return sequence_of({bytes_of("{"), std::move(first), bytes_of("}")});
  }

  const Json& root_;
  std::string_view where_;
  RuleSet rules_;
  JsonRules json_;
  std::map<const Json*, uint32_t> numbers_;
  std::deque<Waiting> waiting_;
};

}  // namespace

RuleSet parse_json_schema(std::string_view text, std::string_view where) {
  if (text.size() > kMaxGrammarBytes)
    refuse(where, fmt::format("at most {} bytes", kMaxGrammarBytes), fmt::to_string(text.size()));
  try {
    parse_json_object(text, {"json_schema", where});
  } catch (const Error& error) {
    raise(ErrorCode::kInvalidArgument, "{}", error.what());
  }
  const Json root = Json::parse(text);
  return SchemaReader(root, where).read();
}

}  // namespace lille
