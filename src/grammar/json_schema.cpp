#include "grammar/json_schema.h"

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/text.h"
#include "grammar/automaton.h"
#include "grammar/compiled_grammar.h"
#include "grammar/decimal.h"
#include "grammar/grammar_text.h"
#include "grammar/json_rules.h"
#include "grammar/number_range.h"
#include "grammar/number_texts.h"
#include "grammar/ordered_json.h"
#include "grammar/pattern_automaton.h"
#include "grammar/string_format.h"
#include "io/json.h"

namespace lille {
namespace {

using Json = OrderedJson;
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
    {"string", {"minLength", "maxLength", "pattern", "format"}},
    {"number", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}},
    {"integer", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}},
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

// As it stands in a document. It comes from JSON, so that it is UTF-8.
std::string written(const std::string& name) { return Json(name).dump(); }

class SchemaReader {
 public:
  /// @param text  of the root.
  SchemaReader(const Json& root, std::string_view text, std::string_view where)
      : root_(root), where_(where), number_texts_(number_texts(root, text)), json_(rules_) {
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
    const Json& said = schema[is_const ? "const" : "enum"];
    if (!is_const && (!said.is_array() || said.empty()))
      refuse(at, "an array of values", said.is_array() ? "an empty one" : described(said));
    std::vector<std::string_view> types;
    if (schema.contains("type")) types = read_type_names(schema["type"], child(path, "type"));
    std::vector<Expression> parts;
    const auto add = [&](const Json& value) {
      const auto is_of = [&](std::string_view type) { return is_of_type(value, type); };
      if (!types.empty() && std::ranges::none_of(types, is_of)) return;
      std::string text;
      append_value(text, value);
      parts.push_back(bytes_of(std::move(text)));
    };
    if (is_const)
      add(said);
    else
      std::ranges::for_each(said, add);
    if (parts.empty()) refuse(at, "a value of the type beside it", "none");
    return choice_of(std::move(parts));
  }

  // As it stands in a document, its numbers as in the schema: a double may be another one.
  void append_value(std::string& text, const Json& value) const {
    if (!value.is_structured()) {
      text += value.is_number() ? text_of(value) : value.dump();
      return;
    }
    text += value.is_object() ? '{' : '[';
    for (auto part = value.begin(); part != value.end(); ++part) {
      if (part != value.begin()) text += ',';
      if (value.is_object()) text += written(part.key()) + ':';
      append_value(text, *part);
    }
    text += value.is_object() ? '}' : ']';
  }

  bool is_of_type(const Json& value, std::string_view type) const {
    if (type != "integer") return type == (value.is_number() ? "number" : value.type_name());
    const std::optional<Decimal> decimal = value.is_number() ? parse_decimal(text_of(value)) : std::nullopt;
    return decimal && decimal->n_fraction_digits() == 0;
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
      // A number may be whole, and has the same keywords.
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
    if (name == "integer" || name == "number") return read_number(schema, path, name == "integer");
    if (name == "boolean") return json_.boolean();
    if (name == "null") return json_.null();
    return read_string(schema, path);
  }

  Expression read_string(const Json& schema, const std::string& path) {
    const auto [min, max] = read_counts(schema, path, "minLength", "maxLength");
    std::optional<std::string> format = read_text(schema, path, "format");
    const std::optional<std::string> pattern = read_text(schema, path, "pattern");
    // A name that JSON Schema does not know says nothing: the pattern does.
    if (format && pattern && !is_standard_format(*format)) format.reset();
    if (!format && !pattern) return json_.text(min, max);
    const std::span<const std::string_view> formats = string_formats();
    if (format && std::ranges::find(formats, *format) == formats.end())
      refuse(child(path, "format"), fmt::format("one of {}", fmt::join(formats, ", ")),
             described(schema["format"]));
    const std::string key = fmt::format("{} {} {} {}", min, max, format.value_or(""), pattern.value_or(""));
    return shared(key, path,
                  [&, min = min, max = max] { return string_expression(format, pattern, path, min, max); });
  }

  std::optional<std::string> read_text(const Json& schema, const std::string& path, const char* name) {
    const auto found = schema.find(name);
    if (found == schema.end()) return std::nullopt;
    if (!found->is_string()) refuse(child(path, name), "a text", described(*found));
    return found->get<std::string>();
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

  Expression string_expression(const std::optional<std::string>& format,
                               const std::optional<std::string>& pattern, const std::string& path,
                               uint32_t min, uint32_t max) {
    std::optional<Automaton> texts;
    const auto narrow = [&](Automaton further) {
      texts = texts ? intersection(*texts, further, work_) : std::move(further);
      if (texts->states.empty()) refuse(work_.where, "what some text fulfils", "what none does");
    };
    if (format) {
      work_.where = child(path, "format");
      narrow(format_automaton(*format, work_));
    }
    if (pattern) {
      work_.where = child(path, "pattern");
      narrow(pattern_automaton(*pattern, work_));
    }
    work_.where = path;
    // Bounds that hold without being said would only make more states.
    const TextLengths lengths = lengths_of(*texts);
    if (min <= lengths.min) min = 0;
    if (max >= lengths.max) max = Expression::kUnbounded;
    if (min > 0 || max != Expression::kUnbounded) narrow(texts_of_length(min, max, work_));
    return json_.text_of(*texts);
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

  Expression read_number(const Json& schema, const std::string& path, bool is_integer) {
    NumberRange range;
    range.is_integer = is_integer;
    std::string key = is_integer ? "integer" : "number";
    for (const char* name : {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"}) {
      const auto found = schema.find(name);
      if (found == schema.end()) continue;
      const std::string_view keyword = name;
      range.bounds.push_back({read_decimal(*found, child(path, name)), keyword.ends_with("inimum"),
                              keyword.starts_with("exclusive")});
      key += fmt::format(" {} {}", name, text_of(*found));
    }
    if (const auto found = schema.find("multipleOf"); found != schema.end()) {
      const std::string at = child(path, "multipleOf");
      range.multiple = multiple_of(read_decimal(*found, at));
      if (!range.multiple)
        refuse(
            at,
            fmt::format("a number above 0, of at most {} when its point is left out, with at most {} digits "
                        "behind it",
                        NumberRange::kMaxMultiple, NumberRange::kMaxMultiplePlaces),
            printable(text_of(*found), 40));
      key += fmt::format(" multipleOf {}", text_of(*found));
    }
    if (range.bounds.empty() && !range.multiple) return is_integer ? json_.integer() : json_.number();
    return shared(key, path, [&] { return number_expression(range, path); });
  }

  Expression number_expression(const NumberRange& range, const std::string& path) {
    work_.where = path;
    const Automaton numbers = numbers_in(range, work_);
    if (numbers.states.empty())
      refuse(path,
             fmt::format("bounds that a {}number of at most {} digits is between{}",
                         range.is_integer ? "whole " : "", kMaxWrittenDigits,
                         range.multiple ? ", and a multiple" : ""),
             "none");
    return expression_of(numbers, characters_of);
  }

  // As it stands in the schema.
  std::string text_of(const Json& number) const {
    const auto written = number_texts_.find(&number);
    return written == number_texts_.end() ? number.dump() : written->second;
  }

  Decimal read_decimal(const Json& value, const std::string& path) const {
    if (!value.is_number()) refuse(path, "a number", described(value));
    const std::string text = text_of(value);
    std::optional<Decimal> decimal = parse_decimal(text);
    if (!decimal)
      refuse(
          path,
          fmt::format("a number whose first digit is at most {} places from the point", Decimal::kMaxPlaces),
          printable(text, 40));
    return std::move(*decimal);
  }

  // What is said twice is made once.
  Expression shared(const std::string& key, const std::string& path,
                    const std::function<Expression()>& make) {
    const auto [known, is_new] = shared_.try_emplace(key, 0);
    if (is_new) {
      Expression expression = make();
      known->second = rules_.add(path);
      rules_.rules[known->second] = std::move(expression);
    }
    return rule_of(known->second);
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
  std::map<const Json*, std::string> number_texts_;
  RuleSet rules_;
  JsonRules json_;
  AutomatonWork work_;
  std::map<std::string, uint32_t> shared_;  // the rules of texts and numbers, by what they are held to
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
  return SchemaReader(root, text, where).read();
}

}  // namespace lille
