#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace lille {

/// Code points from `first` to `last`, both included.
struct CharacterRange {
  uint32_t first = 0;
  uint32_t last = 0;
};

/// What a rule of a grammar stands for: a tree of texts, characters and other rules.
struct Expression {
  enum class Kind { kBytes, kCharacters, kSequence, kChoice, kRepeat, kRule, kGraph };
  /// One part of a graph leads from one of its states to another.
  struct Step {
    uint32_t from = 0;
    uint32_t to = 0;
  };
  /// No upper bound of a repetition.
  static constexpr uint32_t kUnbounded = std::numeric_limits<uint32_t>::max();
  /// The state of a graph in which it ends and which no step leaves; it begins in state 0.
  static constexpr uint32_t kGraphEnd = 1;

  Kind kind = Kind::kSequence;           ///< An empty sequence is the empty text.
  std::string bytes = {};                ///< kBytes: exactly these.
  std::vector<CharacterRange> ranges{};  ///< kCharacters: one of any of these, apart and in ascending order.
  std::vector<Expression> parts =
      {};  ///< kSequence, kChoice: in order; kRepeat: the one that is repeated; kGraph: one for each step.
  uint32_t min = 0;              ///< kRepeat.
  uint32_t max = 0;              ///< kRepeat: at least `min`, or kUnbounded.
  uint32_t rule = 0;             ///< kRule: its number.
  std::vector<Step> steps = {};  ///< kGraph: the parts along any way from its beginning to its end.
};

/// Exactly these bytes.
Expression bytes_of(std::string bytes);
/// One character of any of the ranges, in UTF-8; surrogates are none.
Expression characters_of(std::vector<CharacterRange> ranges);
/// One after the other.
Expression sequence_of(std::vector<Expression> parts);
/// Any one of them.
Expression choice_of(std::vector<Expression> parts);
/// From `min` to `max` of them.
Expression repeat_of(Expression part, uint32_t min, uint32_t max);
/// The part or nothing.
Expression optional_of(Expression part);
/// What rule number `rule` stands for.
Expression rule_of(uint32_t rule);

/// The ranges' complement among all characters, in ascending order.
std::vector<CharacterRange> complement_of(std::vector<CharacterRange> ranges);

/// Rules with their names; the text that is matched is what the root stands for.
struct RuleSet {
  std::vector<std::string> names;
  std::vector<Expression> rules;  ///< One for each name.
  uint32_t root = 0;
  std::string where = "grammar";  ///< What messages call the text that they were read from.

  /// Appends a rule that stands for nothing yet and returns its number.
  uint32_t add(std::string name);
};

}  // namespace lille
