#include "grammar/pattern.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support.h"

namespace lille {
namespace {

void expect_pattern_refused(std::string_view pattern, std::string_view part) {
  test::expect_error(ErrorCode::kInvalidArgument, part, [&] { parse_pattern(pattern, "s.pattern"); });
}

TEST(Pattern, IsAnExpression) {
  using Kind = Expression::Kind;
  const Expression pattern = parse_pattern("^a{2,5}?(?:b|c)$", "s").expression;
  ASSERT_EQ(pattern.kind, Kind::kSequence);
  ASSERT_EQ(pattern.parts.size(), 4U);
  EXPECT_EQ(pattern.parts[0].rule, kPatternBegin);
  EXPECT_EQ(pattern.parts[1].min, 2U);
  EXPECT_EQ(pattern.parts[1].max, 5U);
  EXPECT_EQ(pattern.parts[2].kind, Kind::kChoice);
  EXPECT_EQ(pattern.parts[3].rule, kPatternEnd);
  EXPECT_EQ(parse_pattern("", "s").expression.parts.size(), 0U);
}

// Python's re.escape writes all of them so, and no others below 0x7f but white space.
TEST(Pattern, EachSignOfAsciiMayBeEscaped) {
  for (const char sign : std::string_view(" !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")) {
    const auto code_point = static_cast<uint32_t>(sign);
    for (const char* form : {"\\{}", "[\\{}]"}) {
      const Expression expression = parse_pattern(fmt::format(fmt::runtime(form), sign), "s").expression;
      ASSERT_EQ(expression.ranges.size(), 1U) << sign;
      EXPECT_EQ(expression.ranges.front().first, code_point);
      EXPECT_EQ(expression.ranges.front().last, code_point);
    }
  }
}

TEST(Pattern, LookAheadStandsAtTheBeginning) {
  const Pattern pattern = parse_pattern("^(?!a|b)(?=.*c)x", "s");
  ASSERT_EQ(pattern.look_aheads.size(), 2U);
  EXPECT_TRUE(pattern.look_aheads[0].is_negative);
  EXPECT_FALSE(pattern.look_aheads[1].is_negative);
  EXPECT_TRUE(parse_pattern("^x", "s").look_aheads.empty());
}

TEST(Pattern, WhatIsNotUnderstoodIsNamedWithItsPlace) {
  expect_pattern_refused(
      "ab(?=c)",
      "s.pattern: character 3: look-ahead but behind a ^ at the beginning is not understood, got \"(?=c)\"");
  expect_pattern_refused("^a(?!c)", "character 3: look-ahead but");
  expect_pattern_refused("^(?!a)(?!(?=b))", "character 10: look-ahead but");
  expect_pattern_refused("^(?!a)*", "character 7: expected something to repeat");
  expect_pattern_refused("^(?!a)b|c", "character 8: expected no choice beside look-ahead but in a group");
  expect_pattern_refused("^(?!a", "character 6: expected ), got the end");
  expect_pattern_refused("(?!c)",
                         "character 1: look-ahead but behind a ^ at the beginning is not understood");
  expect_pattern_refused("a(?<=c)", "character 2: look-behind is not understood");
  expect_pattern_refused("a(?<!c)", "character 2: look-behind is not understood");
  expect_pattern_refused("(a)\\1", "character 4: references to groups and octal numbers are not understood");
  expect_pattern_refused("\\07", "character 1: references to groups and octal numbers");
  expect_pattern_refused("(?<x>a)\\k<x>", "character 8: references to groups are not understood");
  expect_pattern_refused("\xe2\x82\xac\\bx", "character 2: bounds of words are not understood, got \"\\bx\"");
  expect_pattern_refused("\\B", "character 1: bounds of words");
  expect_pattern_refused("[\\B]", "character 2: bounds of words");
  expect_pattern_refused("\\p{L}", "character 1: properties of characters are not understood");
  expect_pattern_refused("[a\\P{L}]", "character 3: properties of characters");
  expect_pattern_refused("(?i)a", "character 1: groups with (? but (?: and (?<NAME> are not understood");
  expect_pattern_refused("(?P<x>a)", "character 1: groups with (?");
}

TEST(Pattern, WhatIsNoRegularExpressionIsRefused) {
  expect_pattern_refused("(a", "character 3: expected ), got the end");
  expect_pattern_refused("a)b", "character 2: expected ( before a ), got \")b\"");
  expect_pattern_refused("[a", "character 3: expected ] at the end of the characters, got the end");
  expect_pattern_refused("[b-a]", "character 3: expected characters in ascending order");
  expect_pattern_refused("*a", "character 1: expected something to repeat before this");
  expect_pattern_refused("a|+", "character 3: expected something to repeat");
  expect_pattern_refused("{2}", "character 1: expected something to repeat before this, or \\");
  expect_pattern_refused("a**", "character 3: expected one repetition of a thing");
  expect_pattern_refused("a++", "character 3: expected one repetition");
  expect_pattern_refused("a{2}{3}", "character 5: expected one repetition");
  expect_pattern_refused("^*", "character 2: expected no repetition of ^ and $");
  expect_pattern_refused("a{", "character 3: expected a number of repetitions, or \\{");
  expect_pattern_refused("a{,3}", "character 3: expected a number of repetitions");
  expect_pattern_refused("a{3", "character 4: expected } after the bounds");
  expect_pattern_refused("a{3,2}", "expected bounds in ascending order before this, got {3,2}");
  expect_pattern_refused("a{10001}", "expected a number of repetitions up to 10000");
  expect_pattern_refused("a{99999999999999999999}", "expected a number of repetitions up to 10000");
  expect_pattern_refused("a\\", "character 2: expected a character behind \\");
  expect_pattern_refused("\\q", "character 1: expected \\ before one of");
  expect_pattern_refused("\\A", "character 1: expected \\ before one of");
  expect_pattern_refused("\\c1", "character 1: expected \\ before one of");
  expect_pattern_refused("\\xg0", "expected 2 hexadecimal digits");
  expect_pattern_refused("\\u12", "expected 4 hexadecimal digits, got the end");
  expect_pattern_refused("\\u{110000}", "expected the number of a character of Unicode");
  expect_pattern_refused("\\u{}", "character 4: expected 1 hexadecimal digits, got \"}\"");
  expect_pattern_refused("\\u{12", "expected 1 hexadecimal digits, got the end");
  expect_pattern_refused("\\ud83d", "expected the number of a character of Unicode");
  expect_pattern_refused("\\ud83d\\u0041", "expected the number of a character of Unicode");
  expect_pattern_refused("\\udc00", "expected the number of a character of Unicode");
  expect_pattern_refused("(?<>a)", "character 4: expected the name of a group");
  expect_pattern_refused("(?<a", "expected the name of a group");
  expect_pattern_refused("(?<a>x)(?<b>(?<a>y))",
                         "character 16: expected each name of a group once, got \"a\" twice");
  expect_pattern_refused("\xff", "character 1: expected UTF-8");
  expect_pattern_refused(std::string(65, '(') + std::string(65, ')'), "at most 64 levels of groups");
}

}  // namespace
}  // namespace lille
