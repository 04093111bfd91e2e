#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lille {

/// A number as its decimal digits, whatever a double would make of them.
struct Decimal {
  /// Most places that a decimal's first digit may be before or behind the point.
  static constexpr int32_t kMaxPlaces = 1000;

  bool is_negative = false;  ///< Zero is not.
  std::string digits;        ///< Neither the first nor the last is 0; none for zero.
  int32_t n_whole = 0;       ///< So many of the digits stand before the point; below 0: after so many zeros.

  bool is_zero() const noexcept { return digits.empty(); }
  /// How many digits stand before the point, without zeros at the beginning.
  int32_t n_whole_digits() const noexcept { return n_whole > 0 ? n_whole : 0; }
  /// How many digits stand behind the point, without zeros at the end.
  int32_t n_fraction_digits() const noexcept;
  /// The digit of a place, 0 where none is written.
  /// @param place  0 for the first of n_whole_digits(), n_whole_digits() for the first behind the point.
  char digit(int32_t place) const noexcept;
};

/// Reads a number.
/// @param text  of the form that JSON has.
/// @return none if its first digit is too far from the point.
std::optional<Decimal> parse_decimal(std::string_view text);

}  // namespace lille
