#include "grammar/decimal.h"

#include <algorithm>

namespace lille {
namespace {

// At most so much, that sums of it and of lengths of texts are small.
constexpr int32_t kMaxExponent = 1'000'000'000;

int32_t read_exponent(std::string_view text) {
  const bool is_negative = text.starts_with('-');
  if (is_negative || text.starts_with('+')) text.remove_prefix(1);
  int64_t exponent = 0;
  for (const char digit : text) exponent = std::min<int64_t>(kMaxExponent, exponent * 10 + (digit - '0'));
  return static_cast<int32_t>(is_negative ? -exponent : exponent);
}

}  // namespace

int32_t Decimal::n_fraction_digits() const noexcept {
  return std::max(0, static_cast<int32_t>(digits.size()) - n_whole);
}

char Decimal::digit(int32_t place) const noexcept {
  const int32_t idx = place - n_whole_digits() + n_whole;
  return idx < 0 || idx >= static_cast<int32_t>(digits.size()) ? '0' : digits[static_cast<std::size_t>(idx)];
}

std::optional<Decimal> parse_decimal(std::string_view text) {
  Decimal decimal;
  const bool is_negative = text.starts_with('-');
  if (is_negative) text.remove_prefix(1);
  const std::string_view mantissa = text.substr(0, text.find_first_of("eE"));
  const std::size_t point = std::min(mantissa.find('.'), mantissa.size());
  for (const char c : mantissa)
    if (c != '.') decimal.digits += c;
  const std::size_t n_zeros = std::min(decimal.digits.find_first_not_of('0'), decimal.digits.size());
  decimal.digits.erase(0, n_zeros);
  decimal.digits.erase(decimal.digits.find_last_not_of('0') + 1);
  if (decimal.is_zero()) return decimal;
  decimal.is_negative = is_negative;
  const int32_t exponent =
      mantissa.size() == text.size() ? 0 : read_exponent(text.substr(mantissa.size() + 1));
  decimal.n_whole = static_cast<int32_t>(point) - static_cast<int32_t>(n_zeros) + exponent;
  if (decimal.n_whole > Decimal::kMaxPlaces || decimal.n_whole <= -Decimal::kMaxPlaces) return std::nullopt;
  return decimal;
}

}  // namespace lille
