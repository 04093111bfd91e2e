#pragma once

#include <string_view>

#include "grammar/expression.h"

namespace lille {

/// The JSON documents that a JSON Schema allows, as a grammar: OpenAI's strict subset (docs/GRAMMAR.md).
/// Properties come in the order in which the schema has them.
/// @param text   the schema, a JSON object of at most kMaxGrammarBytes and 16 levels.
/// @param where  what the schema is called in messages.
/// @throws Error(kInvalidArgument) that names the place in the schema, what is understood there and what it
///   is.
RuleSet parse_json_schema(std::string_view text, std::string_view where);

}  // namespace lille
