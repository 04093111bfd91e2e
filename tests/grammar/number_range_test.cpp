#include "grammar/number_range.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <regex>
#include <string>

#include "grammar/automaton_texts.h"

namespace lille {
namespace {

// Thousandths, so that all below is whole; twice as many digits as a test asks for fit.
constexpr int64_t kUnit = 1000;

struct Limits {
  std::optional<int64_t> min, above, max, below, multiple;  // in thousandths
  bool is_integer = false;

  bool hold(int64_t value) const {
    return (!min || value >= *min) && (!above || value > *above) && (!max || value <= *max) &&
           (!below || value < *below) && (!multiple || value % *multiple == 0);
  }
};

std::string in_thousandths(int64_t value) {
  const int64_t magnitude = value < 0 ? -value : value;
  return fmt::format("{}{}.{:03}", value < 0 ? "-" : "", magnitude / kUnit, magnitude % kUnit);
}

Decimal decimal(const std::string& text) { return parse_decimal(text).value(); }

Automaton automaton_of(const Limits& limits) {
  NumberRange range;
  range.is_integer = limits.is_integer;
  const auto add = [&](const std::optional<int64_t>& value, bool is_lower, bool is_excluded) {
    if (value) range.bounds.push_back({decimal(in_thousandths(*value)), is_lower, is_excluded});
  };
  add(limits.min, true, false);
  add(limits.above, true, true);
  add(limits.max, false, false);
  add(limits.below, false, true);
  if (limits.multiple) range.multiple = multiple_of(decimal(in_thousandths(*limits.multiple))).value();
  AutomatonWork work;
  return numbers_in(range, work);
}

// The number in thousandths, if it is written as docs/GRAMMAR.md says.
std::optional<int64_t> value_of(const std::string& text, const Limits& limits) {
  static const std::regex kForm("(-?)(0|[1-9][0-9]{0,15})(?:\\.([0-9]{1,16}))?");
  std::smatch parts;
  if (!std::regex_match(text, parts, kForm) || (limits.is_integer && parts[3].matched)) return std::nullopt;
  if (limits.multiple && parts[3].matched) {
    std::string digits = fmt::format("{:03}", *limits.multiple % kUnit);
    digits.erase(digits.find_last_not_of('0') + 1);
    if (parts[3].str().size() > digits.size()) return std::nullopt;
  }
  std::string fraction = parts[3].str();
  if (fraction.find_first_not_of('0', 3) != std::string::npos && fraction.size() > 3) return std::nullopt;
  fraction.resize(3, '0');
  const int64_t magnitude = std::stoll(parts[2].str()) * kUnit + std::stoll(fraction);
  if (parts[1].length() > 0 && magnitude == 0) return std::nullopt;
  return parts[1].length() > 0 ? -magnitude : magnitude;
}

Limits random_limits(std::mt19937& random, int round) {
  const int64_t size = round % 3 == 0 ? 3 : round % 3 == 1 ? 1500 : 120'000;
  const auto value = [&] {
    int64_t drawn = static_cast<int64_t>(random() % (2 * size + 1)) - size;
    return random() % 3 == 0 ? drawn / 100 * 100 : drawn;
  };
  Limits limits;
  limits.is_integer = random() % 2 == 0;
  if (random() % 3 != 0) limits.min = value();
  if (random() % 4 == 0) limits.above = value();
  if (random() % 3 != 0) limits.max = value();
  if (random() % 4 == 0) limits.below = value();
  constexpr int64_t kMultiples[] = {1, 5, 10, 25, 100, 500, 1000, 2500, 3000, 7000, 15, 12'000, 100'000};
  if (random() % 2 == 0) limits.multiple = kMultiples[random() % std::size(kMultiples)];
  return limits;
}

// Everything of up to three digits before the point and some more, and behind it.
void expect_exact(const Limits& limits, const Automaton& automaton) {
  const auto expect = [&](const std::string& text) {
    const std::optional<int64_t> value = value_of(text, limits);
    ASSERT_EQ(test::accepts(automaton, text), value && limits.hold(*value)) << text;
  };
  for (int64_t value = -1600; value <= 1600; ++value) {
    expect(in_thousandths(value));
    expect(std::to_string(value));
    expect(in_thousandths(value * 100).substr(0, in_thousandths(value * 100).size() - 2));
    expect(in_thousandths(value * 10).substr(0, in_thousandths(value * 10).size() - 1));
    expect(in_thousandths(value * 100) + "00");
  }
  for (const char* text : {"", "-", "-0", "-0.0", "-0.000", "00", "01", "1.", ".5", "+1", "1e1", "--1", "1-",
                           "1.2.3", "0x1", " 1", "1 "})
    ASSERT_FALSE(test::accepts(automaton, text)) << text;
}

TEST(NumberRange, HasExactlyTheNumbersThatTheLimitsAllow) {
  std::mt19937 random(1);
  int n_empty = 0;
  for (int round = 0; round < 150; ++round) {
    const Limits limits = random_limits(random, round);
    const Automaton automaton = automaton_of(limits);
    SCOPED_TRACE(fmt::format("round {}: min {}, above {}, max {}, below {}, multiple {}, integer {}", round,
                             limits.min.value_or(-9), limits.above.value_or(-9), limits.max.value_or(-9),
                             limits.below.value_or(-9), limits.multiple.value_or(-9), limits.is_integer));
    expect_exact(limits, automaton);
    n_empty += automaton.states.empty() ? 1 : 0;
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(n_empty, 5);
  EXPECT_LT(n_empty, 75);
}

// A number's digits with zeros to a common length are in the order of the numbers.
std::string sortable(std::string text) {
  const std::size_t point = std::min(text.find('.'), text.size());
  std::string fraction = point < text.size() ? text.substr(point + 1) : "";
  fraction.resize(40, '0');
  return std::string(40 - point, '0') + text.substr(0, point) + fraction;
}

TEST(NumberRange, BoundsAreComparedDigitByDigit) {
  std::mt19937 random(2);
  for (const char* bound : {"0.1", "1e-3", "0.30000000000000004", "0.1234567890123456789", "9007199254740993",
                            "9007199254740993.5", "1e15", "9999999999999999.9999999999999999", "123.4"}) {
    for (const bool is_excluded : {false, true}) {
      const auto bounded = [is_excluded](const std::string& number, bool is_lower) {
        NumberRange range;
        range.bounds.push_back({decimal(number), is_lower, is_excluded});
        AutomatonWork work;
        return numbers_in(range, work);
      };
      const Automaton above = bounded(bound, true);
      const Automaton below = bounded(bound, false);
      const Automaton above_negative = bounded("-" + std::string(bound), true);
      const Automaton below_negative = bounded("-" + std::string(bound), false);
      const Decimal value = decimal(bound);
      std::string digits;
      for (int32_t place = 0; place < value.n_whole_digits() + value.n_fraction_digits(); ++place)
        digits += value.digit(place);
      const auto whole = static_cast<std::size_t>(value.n_whole_digits());
      const std::string full = (whole == 0 ? "0" : digits.substr(0, whole)) + "." + digits.substr(whole);
      for (int n = 0; n < 400; ++n) {
        // The bound with other digits from somewhere on, or as it is.
        std::string text =
            full.substr(0, std::min<std::size_t>(full.find('.') + 17, 1 + random() % full.size()));
        if (random() % 3 == 0)
          text.back() = text.back() == '.' ? '.' : static_cast<char>('0' + random() % 10);
        if (random() % 3 == 0 && text.find('.') != std::string::npos && text.size() < full.find('.') + 17)
          text += static_cast<char>('0' + random() % 10);
        if (text.back() == '.') text.pop_back();
        if (text.size() > 1 && text[0] == '0' && text[1] != '.') continue;
        const auto order = sortable(text) <=> sortable(full);
        const bool is_met = order == 0 && !is_excluded;
        const bool is_zero = sortable(text) == sortable("0");
        ASSERT_EQ(test::accepts(above, text), order > 0 || is_met) << text << " " << bound;
        ASSERT_EQ(test::accepts(below, text), order < 0 || is_met) << text << " " << bound;
        ASSERT_TRUE(test::accepts(below, "-" + text) || is_zero) << text;
        ASSERT_FALSE(test::accepts(above, "-" + text)) << text;
        // On the other side of zero the order is the other one.
        ASSERT_EQ(test::accepts(above_negative, "-" + text), (order < 0 || is_met) && !is_zero)
            << "-" << text << " -" << bound;
        ASSERT_EQ(test::accepts(below_negative, "-" + text), (order > 0 || is_met) && !is_zero)
            << "-" << text << " -" << bound;
        ASSERT_TRUE(test::accepts(above_negative, text)) << text;
        ASSERT_FALSE(test::accepts(below_negative, text)) << text;
      }
    }
  }
}

TEST(NumberRange, ReachesSixteenDigitsAndNoMore) {
  const auto between = [](const char* min, const char* max) {
    NumberRange range;
    range.bounds = {{decimal(min), true, false}, {decimal(max), false, false}};
    AutomatonWork work;
    return numbers_in(range, work);
  };
  const Automaton all = between("-1e300", "1e300");
  for (const char* text :
       {"9999999999999999", "-9999999999999999.9999999999999999", "0", "0.0000000000000001"})
    EXPECT_TRUE(test::accepts(all, text)) << text;
  for (const char* text : {"10000000000000000", "0.00000000000000001", "-0.0"})
    EXPECT_FALSE(test::accepts(all, text)) << text;
  EXPECT_TRUE(between("1e16", "1e300").states.empty());
  EXPECT_TRUE(between("1e-20", "2e-20").states.empty());
  EXPECT_TRUE(between("2", "1").states.empty());
  const Automaton one = between("9999999999999999", "9999999999999999");
  EXPECT_TRUE(test::accepts(one, "9999999999999999"));
  EXPECT_TRUE(test::accepts(one, "9999999999999999.000"));
  EXPECT_FALSE(test::accepts(one, "9999999999999998"));
}

TEST(NumberRange, MultiplesAreWhatAJsonNumberSays) {
  const auto read = [](const char* text) {
    const auto multiple = multiple_of(decimal(text));
    return multiple ? fmt::format("{} {}", multiple->value, multiple->n_fraction_digits) : "none";
  };
  EXPECT_EQ(read("3"), "3 0");
  EXPECT_EQ(read("0.01"), "1 2");
  EXPECT_EQ(read("2.50"), "25 1");
  EXPECT_EQ(read("1e3"), "1000 0");
  EXPECT_EQ(read("1e-32"), "1 32");
  EXPECT_EQ(read("10000"), "10000 0");
  for (const char* text : {"0", "-1", "10001", "1e5", "1.00001", "1e-33"}) EXPECT_EQ(read(text), "none");
}

TEST(NumberRange, LargeMultiplesAreExactToo) {
  std::mt19937_64 random(3);
  for (const uint32_t value : {7u, 60u, 997u, 3600u, 4096u, 5000u, 10'000u}) {
    NumberRange range;
    range.is_integer = true;
    range.multiple = NumberRange::Multiple{value, 0};
    AutomatonWork work;
    const Automaton automaton = numbers_in(range, work);
    for (int n = 0; n < 2000; ++n) {
      int64_t number = static_cast<int64_t>(random() % 10'000'000'000'000'000u) >> (random() % 50);
      if (random() % 2 == 0) number = number / value * value;
      if (random() % 2 == 0) number = -number;
      ASSERT_EQ(test::accepts(automaton, std::to_string(number)), number % value == 0)
          << number << " " << value;
    }
  }
}

}  // namespace
}  // namespace lille
