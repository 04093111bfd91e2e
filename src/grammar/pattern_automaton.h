#pragma once

#include <string_view>

#include "grammar/automaton.h"

namespace lille {

/// The texts that a pattern is found in, anywhere unless it says ^ or $. ^ is the beginning of the text and $
/// its end, wherever they stand.
/// @throws Error(kInvalidArgument) as parse_pattern, and if the automaton is too large (AutomatonWork).
Automaton pattern_automaton(std::string_view text, AutomatonWork& work);

}  // namespace lille
