#include "eval/white_space.h"

#include <gtest/gtest.h>

namespace lille {
namespace {

// The characters for which Python's str.isspace is true.
constexpr const char* kSpaces[] = {
    "\t",     "\n",     "\v",     "\f",     "\r",     "\x1c",   "\x1d",   "\x1e",   "\x1f",   " ",
    "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
    "\u2007", "\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};

TEST(WhiteSpace, IsTakenOffWherePythonDoes) {
  for (const char* space : kSpaces) {
    const std::string text = std::string(space) + "a" + space + "b" + space + space;
    const std::string kept = std::string("a") + space + "b";
    EXPECT_EQ(without_outer_space(text), kept);
    EXPECT_EQ(without_trailing_space(text), space + kept);
  }
}

TEST(WhiteSpace, OfNothingAndOfNothingElse) {
  EXPECT_EQ(without_outer_space(""), "");
  EXPECT_EQ(without_trailing_space(" \u00a0\n"), "");
  EXPECT_EQ(without_outer_space(" \u00a0\n"), "");
}

TEST(WhiteSpace, WhatHasNoWidthIsNone) {
  for (const char* text : {"a\u200b", "a\u180e", "a\ufeff", "a\xa0"}) {
    EXPECT_EQ(without_trailing_space(text), text);
    EXPECT_EQ(without_outer_space(text), text);
  }
}

}  // namespace
}  // namespace lille
