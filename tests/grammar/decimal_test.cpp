#include "grammar/decimal.h"

#include <gtest/gtest.h>

#include <string>

namespace lille {
namespace {

// The digits before the point, the point, and those behind it.
std::string in_full(const Decimal& decimal) {
  std::string text = decimal.is_negative ? "-" : "";
  for (int32_t place = 0; place < decimal.n_whole_digits(); ++place) text += decimal.digit(place);
  text += '.';
  for (int32_t idx = 0; idx < decimal.n_fraction_digits(); ++idx)
    text += decimal.digit(decimal.n_whole_digits() + idx);
  return text;
}

TEST(Decimal, IsWhatIsWritten) {
  const std::pair<const char*, const char*> cases[] = {
      {"0", "."},
      {"-0", "."},
      {"0.0e7", "."},
      {"-0.000", "."},
      {"7", "7."},
      {"-120", "-120."},
      {"1e3", "1000."},
      {"1E+3", "1000."},
      {"1e-3", ".001"},
      {"-0.5", "-.5"},
      {"0.1", ".1"},
      {"12.5e-3", ".0125"},
      {"12.50e1", "125."},
      {"0.00120", ".0012"},
      {"0.00120e3", "1.2"},
      {"100.001", "100.001"},
      {"1.5e0", "1.5"},
      {"25e-1", "2.5"},
      {"9007199254740993.25", "9007199254740993.25"},
      {"0.1234567890123456789012", ".1234567890123456789012"}};
  for (const auto& [text, expected] : cases) {
    const std::optional<Decimal> decimal = parse_decimal(text);
    ASSERT_TRUE(decimal) << text;
    EXPECT_EQ(in_full(*decimal), expected) << text;
    EXPECT_EQ(decimal->is_zero(), std::string_view(expected) == ".");
    // Beyond what is written there are zeros.
    EXPECT_EQ(decimal->digit(decimal->n_whole_digits() + decimal->n_fraction_digits()), '0');
  }
}

TEST(Decimal, EndsWhereNoNumberIsWritten) {
  EXPECT_TRUE(parse_decimal("1e999"));
  EXPECT_TRUE(parse_decimal("1e-1000"));
  for (const char* text :
       {"1e1000", "-1e1001", "1e-1001", "1e99999999999999999999", "1e-99999999999999999999"})
    EXPECT_FALSE(parse_decimal(text)) << text;
  // No digit of it counts.
  EXPECT_TRUE(parse_decimal("0e99999999999999999999")->is_zero());
  EXPECT_TRUE(parse_decimal("0.000e-99999999999999999999")->is_zero());
}

}  // namespace
}  // namespace lille
