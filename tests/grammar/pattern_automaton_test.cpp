#include "grammar/pattern_automaton.h"

#include <gtest/gtest.h>

#include <ctime>
#include <random>

#include "grammar/automaton_texts.h"
#include "grammar/pcre.h"
#include "grammar/utf8_ranges.h"
#include "support.h"

namespace lille {
namespace {

Automaton texts_with(std::string_view pattern) {
  AutomatonWork work;
  return pattern_automaton(pattern, work);
}

const std::vector<std::string> kAlphabet = {"a", "b", "-", "\"", "\n", "\xc3\xa9"};

void expect_as_pcre(const std::string& pattern, std::size_t max_characters = 5) {
  const Automaton automaton = texts_with(pattern);
  const test::Pcre pcre(pattern);
  test::for_each_text(kAlphabet, max_characters, [&](const std::string& text) {
    ASSERT_EQ(test::accepts(automaton, text), pcre.is_found_in(text)) << pattern << "\n" << text;
  });
}

TEST(PatternAutomaton, FindsWhatPcreFinds) {
  for (const char* pattern : {"",
                              "a",
                              "ab",
                              "^a",
                              "a$",
                              "^a$",
                              "^$",
                              "$^",
                              "a^b",
                              "a$b",
                              "^",
                              "$",
                              "(^|-)a($|-)",
                              "(?:^a|b$)",
                              "^(a|b)*$",
                              "^(?:a|ab)(?:ba|a)$",
                              "(a|^b){2}",
                              "(?:^a|b){2}",
                              "(?:$|a)*b?$",
                              "a*",
                              "a+?",
                              "^a??b*?$",
                              "^a{2}$",
                              "^a{2,}$",
                              "^a{1,3}$",
                              "^(?:a{0,2}b){1,2}?$",
                              "^a{0}b$",
                              "^a{0,0}$",
                              "(?<name>a)b",
                              ".",
                              "^.$",
                              "^..$",
                              "^[ab]$",
                              "^[^ab]+$",
                              "^[^]{3}$",
                              "a[]|b",
                              "[]",
                              "^[a-]$",
                              "^[-a]$",
                              "^[\\w-]+$",
                              "^\\w+$",
                              "^\\W+$",
                              "^\\s$",
                              "^\\S+$",
                              "^\\D*$",
                              "^[\\s\\S]$",
                              "^[^\\s]$",
                              "\\n",
                              "^\\u00e9",
                              "^\\xe9$",
                              "\\u{e9}",
                              "^[\\u00e0-\\u00ff]+$",
                              "\\\"",
                              "\\ ",
                              "^\\-+$",
                              "a]b",
                              "a}",
                              "()",
                              "^()*a$",
                              "(?:|a)b",
                              "(|a|)b$",
                              "(a*)*$",
                              "^(a*b*)*-$",
                              "((a|b)(a|-))+$",
                              "^(?:(?:a|b){2}){2}$",
                              "[\"\\n]",
                              "\\cJ",
                              "^.*-.*$",
                              "^(?!a)b?",
                              "^(?=.*a)(?!.*b)",
                              "^(?!)",
                              "^(?=)a",
                              "^(?!^a*$)[ab]*$",
                              "^(?!a$)(?=a).*-",
                              "^(?!(a|b)+$)(?:a|b|-){2}"})
    expect_as_pcre(pattern);
}

// A pattern of a few characters and everything that may stand around them.
std::string random_pattern(std::mt19937& random, int depth) {
  const auto pick = [&](std::initializer_list<const char*> choices) {
    return std::string(choices.begin()[random() % choices.size()]);
  };
  if (depth == 0)
    return pick({"a", "b", "-", "\"", "\\n", "\xc3\xa9", ".", "[ab]", "[^a]", "\\w", "\\W", "\\s", "[a\"-]",
                 "^", "$"});
  const std::string part = random_pattern(random, depth - 1);
  switch (random() % 5) {
    case 0:
      return part + random_pattern(random, depth - 1);
    case 1:
      return part + "|" + random_pattern(random, depth - 1);
    case 2:
      return "(?:" + part + ")" + pick({"*", "+", "?", "{2}", "{1,}", "{0,2}", "*?", "+?", "??", "{1,2}?"});
    case 3:
      return "(" + part + ")" + random_pattern(random, depth - 1);
    default:
      return random_pattern(random, depth - 1) + "(?:" + part + ")";
  }
}

TEST(PatternAutomaton, FindsWhatPcreFindsOfPatternsMadeAtRandom) {
  std::mt19937 random(1);
  for (int round = 0; round < 400; ++round) {
    expect_as_pcre(random_pattern(random, 2 + round % 4), 4);
    if (HasFatalFailure()) return;
  }
}

// Texts that are too long to try them all.
TEST(PatternAutomaton, WhatItDrawsPcreFinds) {
  for (const char* pattern : {"^[A-Z]{2}[0-9]{4}$", "^\\d{3}-\\d{4}$", "^[^@\\s]+@[^@\\s]+\\.[a-z]{2,}$",
                              "^(?:0|[1-9]\\d*)(?:\\.\\d+)?$", "[aeiou]{2}\\w", "^#[0-9a-fA-F]{6}$",
                              "^\\S{1,40}(?: \\S{1,40}){0,5}$", "^\\+?[1-9]\\d{1,14}$",
                              "^[\\u4e00-\\u9fff]{2,4}$", "\\\\", "^[\"'\\\\]+$",
                              "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-"
                              "z0-9\\-]*\\.)+[A-Za-z]{2,}$",
                              "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$", "^(?:[^\"\\\\]|\\\\.)*$"}) {
    const Automaton automaton = texts_with(pattern);
    const test::Pcre pcre(pattern);
    std::mt19937 random(2);
    for (int round = 0; round < 300; ++round) {
      const std::string text = test::random_text(automaton, random, 12);
      ASSERT_TRUE(test::accepts(automaton, text)) << text;
      EXPECT_TRUE(pcre.is_found_in(text)) << pattern << "\n" << text;
      // Damaged: either both still find it or neither.
      std::string other = text;
      if (other.empty()) continue;
      const std::size_t at = random() % other.size();
      if (static_cast<unsigned char>(other[at]) > 0x7f) continue;
      other[at] = static_cast<char>(' ' + random() % 95);
      EXPECT_EQ(test::accepts(automaton, other), pcre.is_found_in(other)) << pattern << "\n" << other;
    }
  }
}

bool has_one(const Automaton& automaton, uint32_t character) {
  std::string text;
  append_utf8(text, character);
  return test::accepts(automaton, text);
}

// Where ECMA-262 has more than PCRE2 without Unicode's properties.
TEST(PatternAutomaton, ClassesAreThoseOfEcma262) {
  const Automaton any = texts_with("^.$");
  const Automaton spaces = texts_with("^\\s$");
  const Automaton others = texts_with("^\\S$");
  const Automaton digits = texts_with("^\\d$");
  const Automaton words = texts_with("^\\w$");
  const std::set<uint32_t> line_ends = {'\n', '\r', 0x2028, 0x2029};
  // 12.2 and 12.3: TAB, VT, FF, ZWNBSP, every space separator, and line terminators.
  std::set<uint32_t> expected = {'\t', 0x0b, 0x0c, ' ', 0xa0, 0xfeff, 0x1680, 0x202f, 0x205f, 0x3000};
  for (uint32_t space = 0x2000; space <= 0x200a; ++space) expected.insert(space);
  expected.insert(line_ends.begin(), line_ends.end());
  for (uint32_t character = 0; character < 0x11000; ++character) {
    if (character >= 0xd800 && character <= 0xdfff) continue;
    ASSERT_EQ(has_one(any, character), !line_ends.contains(character)) << character;
    ASSERT_EQ(has_one(spaces, character), expected.contains(character)) << character;
    ASSERT_EQ(has_one(others, character), !expected.contains(character)) << character;
    ASSERT_EQ(has_one(digits, character), character >= '0' && character <= '9') << character;
    ASSERT_EQ(has_one(words, character),
              character == '_' || (character < 0x80 && std::isalnum(static_cast<int>(character))))
        << character;
  }
}

TEST(PatternAutomaton, AHyphenBesideAClassStandsForItself) {
  for (const char* pattern : {"^[\\d-a]+$", "^[a-\\d]+$", "^[\\d-\\da]+$"}) {
    EXPECT_TRUE(test::accepts(texts_with(pattern), "a-7")) << pattern;
    EXPECT_FALSE(test::accepts(texts_with(pattern), "T")) << pattern;
  }
}

TEST(PatternAutomaton, PairsAndNumbersAreCharacters) {
  EXPECT_TRUE(test::accepts(texts_with("^\\ud83d\\ude00$"), "\xf0\x9f\x98\x80"));
  EXPECT_TRUE(test::accepts(texts_with("^\\u{1F600}$"), "\xf0\x9f\x98\x80"));
  EXPECT_TRUE(test::accepts(texts_with("^[\\ud83d\\ude00-\\ud83d\\ude4f]$"), "\xf0\x9f\x98\x81"));
  EXPECT_FALSE(test::accepts(texts_with("^[\\ud83d\\ude00-\\ud83d\\ude4f]$"), "\xf0\x9f\x98"));
  EXPECT_TRUE(test::accepts(texts_with("^[\\b]\\0$"), std::string_view("\b\0", 2)));
  EXPECT_TRUE(test::accepts(texts_with("^\\t\\n\\v\\f\\r\\/$"), "\t\n\v\f\r/"));
}

TEST(PatternAutomaton, HasNoMoreStatesThanItNeeds) {
  EXPECT_EQ(texts_with("").states.size(), 1U);
  EXPECT_EQ(texts_with(".{5,9999}").states.size(), 6U);
  EXPECT_EQ(texts_with("^[^]{1,9999}$").states.size(), 10'000U);
  EXPECT_TRUE(texts_with("a^").states.empty());
  EXPECT_TRUE(texts_with("[]").states.empty());
}

TEST(PatternAutomaton, TooLargeOnesAreRefused) {
  const auto refused = [](std::string_view pattern) {
    test::expect_error(ErrorCode::kInvalidArgument, "grammar: expected", [&] { texts_with(pattern); });
  };
  for (const char* pattern :
       {"^(?:a|b)*a(?:a|b){40}$", "(?:a{1000}){1000}", "((){9999}){9999}", "(?:(?:a?){9999}){9999}",
        "^(?:a?){9999}$", "(?:a.{0,999}){0,999}$", "^(?:.{0,100},){0,100}$"})
    refused(pattern);
  refused("^" + std::string(200'000, 'a') + "$");
}

// The example of docs/GRAMMAR.md.
TEST(PatternAutomaton, TheStepsBoundWhatDoublesWithEachCharacter) {
  EXPECT_GE(texts_with("^[ab]*a[ab]{14}$").states.size(), std::size_t{1} << 15);
  test::expect_error(ErrorCode::kInvalidArgument, "grammar: expected patterns, formats, bounds and multiples",
                     [] { texts_with("^[ab]*a[ab]{15}$"); });
}

// Looking at all ranges for each of the copies would take most of a minute here.
TEST(PatternAutomaton, ManyCopiesOfManyRangesAreReadOnce) {
  std::string brackets = "[";
  for (uint32_t idx = 0; idx < 70'000; ++idx) append_utf8(brackets, 0x10000 + 2 * idx);
  brackets += "]";
  const std::clock_t start = std::clock();
  EXPECT_EQ(texts_with("^(?:a|[](?:" + brackets + "{9999}){9})$").states.size(), 2U);
  EXPECT_LT(std::clock() - start, 10 * CLOCKS_PER_SEC);
}

}  // namespace
}  // namespace lille
