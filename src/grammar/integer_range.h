#pragma once

#include <cstdint>

#include "grammar/expression.h"

namespace lille {

/// The largest whole number of 16 digits: numbers beyond it, and below its opposite, are not written.
inline constexpr int64_t kMaxWrittenInteger = 9'999'999'999'999'999;

/// The whole numbers from `min` to `max` in decimal digits, each in one form.
/// @param min  at most `max`, both within kMaxWrittenInteger.
Expression integers_between(int64_t min, int64_t max);

}  // namespace lille
