#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/decimal.h"

namespace lille {

/// Most digits of a number that is written, before the point and behind it.
inline constexpr uint32_t kMaxWrittenDigits = 16;

/// Which numbers there may be.
struct NumberRange {
  /// The largest of Multiple::value.
  static constexpr uint32_t kMaxMultiple = 10'000;
  /// The most of Multiple::n_fraction_digits.
  static constexpr int32_t kMaxMultiplePlaces = 32;

  struct Bound {
    Decimal value;
    bool is_lower = false;
    bool is_excluded = false;
  };
  /// Multiples of `value` tenths, hundredths and so on.
  struct Multiple {
    uint32_t value = 1;  ///< From 1 to kMaxMultiple.
    int32_t n_fraction_digits = 0;
  };

  bool is_integer = false;    ///< Numbers without a point.
  std::vector<Bound> bounds;  ///< All of them hold; at most 4.
  std::optional<Multiple> multiple;
};

/// What a decimal is as the multiple that it asks for.
/// @return none unless it is positive, its digits without the point are at most kMaxMultiple, and at most
///   kMaxMultiplePlaces stand behind the point.
std::optional<NumberRange::Multiple> multiple_of(const Decimal& decimal);

/// The numbers of a range as they are written: at most kMaxWrittenDigits digits before the point, and behind
/// it, where a multiple allows as many as it has, no exponent, and no sign before zero. It has no states if
/// there is none.
Automaton numbers_in(const NumberRange& range, AutomatonWork& work);

}  // namespace lille
