#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "grammar/expression.h"

namespace lille {

/// What stands for ^ and $ in the expression of a pattern: rules of these numbers.
inline constexpr uint32_t kPatternBegin = 0;
inline constexpr uint32_t kPatternEnd = 1;

/// A regular expression.
struct Pattern {
  /// What the text begins with, or does not.
  struct LookAhead {
    Expression expression;
    bool is_negative = false;
  };
  std::vector<LookAhead> look_aheads;  ///< All of them hold.
  Expression expression;
};

/// A regular expression of ECMA-262 as expressions over characters; what is repeated lazily is repeated.
/// Look-ahead may stand behind a ^ that begins a pattern without a choice outside of groups.
/// @param text   UTF-8.
/// @param where  what the text is called in messages.
/// @throws Error(kInvalidArgument) that names the character where something is not understood, such as
///   look-around elsewhere, backreferences, \b and \p.
Pattern parse_pattern(std::string_view text, std::string_view where);

}  // namespace lille
