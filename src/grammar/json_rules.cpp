#include "grammar/json_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "grammar/number_range.h"

namespace lille {
namespace {

constexpr uint32_t kMaxExponentDigits = 2;

Expression digits(uint32_t min, uint32_t max) { return repeat_of(characters_of({{'0', '9'}}), min, max); }

Expression hex_digits(uint32_t n) {
  return repeat_of(characters_of({{'0', '9'}, {'a', 'f'}, {'A', 'F'}}), n, n);
}

// What stands behind \u: a number that is no surrogate, or two that are one character together.
Expression code_points() {
  const Expression d = characters_of({{'d', 'd'}, {'D', 'D'}});
  Expression below_d = characters_of({{'0', '9'}, {'a', 'c'}, {'e', 'f'}, {'A', 'C'}, {'E', 'F'}});
  Expression high = characters_of({{'8', '9'}, {'a', 'b'}, {'A', 'B'}});
  Expression low = characters_of({{'c', 'f'}, {'C', 'F'}});
  return choice_of(
      {sequence_of({std::move(below_d), hex_digits(3)}),
       sequence_of({d, characters_of({{'0', '7'}}), hex_digits(2)}),
       sequence_of({d, std::move(high), hex_digits(2), bytes_of("\\u"), d, std::move(low), hex_digits(2)})});
}

// The form of a character that may not stand in a text as itself. Source: RFC 8259, 7.
std::string escape_of(uint32_t character) {
  constexpr std::string_view kCharacters = "\"\\\b\f\n\r\t";
  constexpr std::string_view kLetters = "\"\\bfnrt";
  const std::size_t idx = kCharacters.find(static_cast<char>(character));
  return idx == std::string_view::npos ? fmt::format("\\u{:04x}", character)
                                       : fmt::format("\\{}", kLetters[idx]);
}

const std::vector<CharacterRange> kEscaped = {{0, 0x1f}, {'"', '"'}, {'\\', '\\'}};

}  // namespace

Expression JsonRules::rule(std::optional<uint32_t>& number, const char* name,
                           Expression (JsonRules::*make)()) {
  if (!number) {
    // Before it is made: a value may stand in itself.
    number = rules_.add(name);
    Expression expression = (this->*make)();
    rules_.rules[*number] = std::move(expression);
  }
  return rule_of(*number);
}

Expression JsonRules::make_character() {
  Expression escape = choice_of({characters_of({{'"', '"'},
                                                {'\\', '\\'},
                                                {'/', '/'},
                                                {'b', 'b'},
                                                {'f', 'f'},
                                                {'n', 'n'},
                                                {'r', 'r'},
                                                {'t', 't'}}),
                                 sequence_of({bytes_of("u"), code_points()})});
  return choice_of(
      {characters_of(complement_of(kEscaped)), sequence_of({bytes_of("\\"), std::move(escape)})});
}

Expression JsonRules::text(uint32_t min, uint32_t max) {
  Expression character = rule(character_, "character", &JsonRules::make_character);
  return sequence_of({bytes_of("\""), repeat_of(std::move(character), min, max), bytes_of("\"")});
}

Expression JsonRules::text_of(const Automaton& texts) {
  const auto written = [this](std::vector<CharacterRange> ranges) {
    return written_characters(std::move(ranges));
  };
  return sequence_of({bytes_of("\""), expression_of(texts, written), bytes_of("\"")});
}

Expression JsonRules::written_characters(std::vector<CharacterRange> ranges) {
  std::vector<CharacterRange> plain;
  std::vector<Expression> forms;
  std::vector<uint32_t> key;
  for (const CharacterRange& range : ranges) {
    key.insert(key.end(), {range.first, range.last});
    uint32_t next = range.first;
    for (const CharacterRange& escaped : kEscaped) {
      if (escaped.last < next || escaped.first > range.last) continue;
      if (escaped.first > next) plain.push_back({next, escaped.first - 1});
      next = std::max(next, escaped.first);
      for (; next <= std::min(range.last, escaped.last); ++next) forms.push_back(bytes_of(escape_of(next)));
    }
    if (next <= range.last) plain.push_back({next, range.last});
  }
  Expression characters = characters_of(std::move(plain));
  const bool is_ascii = characters.ranges.empty() || characters.ranges.back().last < 0x80;
  if (forms.empty() && is_ascii) return characters;
  // A rule: the same characters stand in many places.
  const auto [known, is_new] = written_.try_emplace(std::move(key), 0);
  if (is_new) {
    known->second = rules_.add("characters");
    if (!characters.ranges.empty()) forms.push_back(std::move(characters));
    rules_.rules[known->second] = choice_of(std::move(forms));
  }
  return rule_of(known->second);
}

Expression JsonRules::make_integer() {
  return sequence_of({optional_of(bytes_of("-")),
                      choice_of({bytes_of("0"), sequence_of({characters_of({{'1', '9'}}),
                                                             digits(0, kMaxWrittenDigits - 1)})})});
}

Expression JsonRules::integer() { return rule(integer_, "integer", &JsonRules::make_integer); }

Expression JsonRules::number() {
  Expression fraction = sequence_of({bytes_of("."), digits(1, kMaxWrittenDigits)});
  Expression exponent =
      sequence_of({characters_of({{'e', 'e'}, {'E', 'E'}}),
                   optional_of(characters_of({{'+', '+'}, {'-', '-'}})), digits(1, kMaxExponentDigits)});
  return sequence_of({integer(), optional_of(std::move(fraction)), optional_of(std::move(exponent))});
}

Expression JsonRules::boolean() { return choice_of({bytes_of("true"), bytes_of("false")}); }

Expression JsonRules::null() { return bytes_of("null"); }

Expression JsonRules::colon() { return sequence_of({bytes_of(":"), optional_of(bytes_of(" "))}); }

Expression JsonRules::comma() { return sequence_of({bytes_of(","), optional_of(bytes_of(" "))}); }

Expression JsonRules::array_of(Expression item, uint32_t min, uint32_t max) {
  if (max == 0) return bytes_of("[]");
  const uint32_t max_more = max == Expression::kUnbounded ? max : max - 1;
  Expression more = repeat_of(sequence_of({comma(), item}), min == 0 ? 0 : min - 1, max_more);
  Expression items = sequence_of({std::move(item), std::move(more)});
  if (min == 0) items = optional_of(std::move(items));
  return sequence_of({bytes_of("["), std::move(items), bytes_of("]")});
}

Expression JsonRules::make_value() {
  return choice_of({any_object(), any_array(), text(), number(), boolean(), null()});
}

Expression JsonRules::make_object() {
  const Expression member = sequence_of({text(), colon(), any_value()});
  Expression more = repeat_of(sequence_of({comma(), member}), 0, Expression::kUnbounded);
  return sequence_of({bytes_of("{"), optional_of(sequence_of({member, std::move(more)})), bytes_of("}")});
}

Expression JsonRules::make_array() { return array_of(any_value(), 0, Expression::kUnbounded); }

Expression JsonRules::any_value() { return rule(value_, "value", &JsonRules::make_value); }

Expression JsonRules::any_object() { return rule(object_, "object", &JsonRules::make_object); }

Expression JsonRules::any_array() { return rule(array_, "array", &JsonRules::make_array); }

}  // namespace lille
