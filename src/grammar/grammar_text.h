#pragma once

#include <string_view>

#include "grammar/expression.h"

namespace lille {

/// Most bytes of a grammar's text, and of a JSON Schema.
inline constexpr std::size_t kMaxGrammarBytes = std::size_t{256} << 10;
/// Most levels of brackets in a rule.
inline constexpr std::size_t kMaxGrammarDepth = 64;

/// Reads a grammar as text (docs/GRAMMAR.md); its root is the rule `root`.
/// @param where  what messages call the text.
/// @throws Error(kInvalidArgument) that names the line and what was expected there, a rule that is missing,
///   or the limit that is exceeded.
RuleSet parse_grammar_text(std::string_view text, std::string_view where = "grammar");

}  // namespace lille
