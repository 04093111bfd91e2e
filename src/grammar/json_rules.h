#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/expression.h"

namespace lille {

/// The pieces of JSON as expressions over a RuleSet; rules are added when they are first needed. What they
/// stand for is bounded where JSON is not: at most one space, and only after a colon or a comma, and numbers
/// that a double holds. Source: RFC 8259.
class JsonRules {
 public:
  /// @param rules  outlives this.
  explicit JsonRules(RuleSet& rules) : rules_(rules) {}

  /// A text of `min` to `max` characters, or Expression::kUnbounded.
  Expression text(uint32_t min = 0, uint32_t max = Expression::kUnbounded);
  /// A text of the automaton. Each character is written in one form: as itself, or as the shortest escape
  /// where JSON asks for one.
  /// @param texts  has one.
  Expression text_of(const Automaton& texts);
  /// A whole number of at most 16 digits.
  Expression integer();
  /// A number of at most 16 digits before and after the point and an exponent of at most 2.
  Expression number();
  Expression boolean();
  Expression null();
  /// Any object, array or value.
  Expression any_object();
  Expression any_array();
  Expression any_value();

  /// From `min` to `max` of the items in brackets.
  Expression array_of(Expression item, uint32_t min, uint32_t max);
  Expression colon();
  Expression comma();

 private:
  Expression rule(std::optional<uint32_t>& number, const char* name, Expression (JsonRules::*make)());
  Expression written_characters(std::vector<CharacterRange> ranges);
  Expression make_character();
  Expression make_integer();
  Expression make_value();
  Expression make_object();
  Expression make_array();

  RuleSet& rules_;
  std::optional<uint32_t> character_;
  std::map<std::vector<uint32_t>, uint32_t> written_;  // by first and last characters
  std::optional<uint32_t> integer_;
  std::optional<uint32_t> value_;
  std::optional<uint32_t> object_;
  std::optional<uint32_t> array_;
};

}  // namespace lille
