#pragma once

#include <span>
#include <string_view>

#include "grammar/automaton.h"

namespace lille {

/// The names that `format` may have in a JSON Schema.
std::span<const std::string_view> string_formats();

/// Whether JSON Schema says what a format means: string_formats() and some more.
bool is_standard_format(std::string_view name);

/// The texts of a format, as docs/GRAMMAR.md describes them: not always all that its standard has, and
/// nothing that it has not.
/// @param name  one of string_formats().
Automaton format_automaton(std::string_view name, AutomatonWork& work);

}  // namespace lille
