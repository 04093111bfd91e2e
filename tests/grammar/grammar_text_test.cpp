#include "grammar/grammar_text.h"

#include <gtest/gtest.h>

#include "grammar/reference.h"
#include "support.h"

namespace lille {
namespace {

using Texts = test::ReferenceLanguage::Texts;

Texts sentences(std::string_view text, std::size_t max_bytes = 6) {
  const RuleSet rules = parse_grammar_text(text);
  return test::ReferenceLanguage(rules, "abc", max_bytes).sentences();
}

TEST(GrammarText, ReadsEveryForm) {
  EXPECT_EQ(sentences("root ::= \"a\""), Texts({"a"}));
  EXPECT_EQ(sentences("root ::= \"a\" | \"b\" \"c\""), Texts({"a", "bc"}));
  EXPECT_EQ(sentences("root ::= [ab] [^ab]"), Texts({"ac", "bc"}));
  EXPECT_EQ(sentences("root ::= \"a\"? (\"b\" | \"c\")"), Texts({"b", "c", "ab", "ac"}));
  EXPECT_EQ(sentences("root ::= \"a\"*", 2), Texts({"", "a", "aa"}));
  EXPECT_EQ(sentences("root ::= \"a\"+", 2), Texts({"a", "aa"}));
  EXPECT_EQ(sentences("root ::= \"a\"{2}"), Texts({"aa"}));
  EXPECT_EQ(sentences("root ::= \"a\"{0}"), Texts({""}));
  EXPECT_EQ(sentences("root ::= \"a\"{ 1 , 3 }"), Texts({"a", "aa", "aaa"}));
  EXPECT_EQ(sentences("root ::= \"a\"{2,}", 3), Texts({"aa", "aaa"}));
  EXPECT_EQ(sentences("root ::= \"ab\"{2}?"), Texts({"", "abab"}));
  EXPECT_EQ(sentences("root ::= ."), Texts({"a", "b", "c"}));
  EXPECT_EQ(sentences("root ::="), Texts({""}));
  EXPECT_EQ(sentences("root ::= | \"a\""), Texts({"", "a"}));
  EXPECT_EQ(sentences("root ::= () \"a\""), Texts({"a"}));
}

TEST(GrammarText, LineBreaksAndCommentsMeanNothing) {
  EXPECT_EQ(sentences("# first\nroot ::=\n  tail # then\n  | \"b\"\ntail ::= \"a\"\n\t\"c\"\r\n# last"),
            Texts({"ac", "b"}));
  EXPECT_EQ(sentences("root::=x-1 x-1 x-1::=\"a\""), Texts({"aa"}));
}

TEST(GrammarText, EscapesAreCharacters) {
  EXPECT_EQ(sentences(R"(root ::= "\x61\u0062\U00000063")"), Texts({"abc"}));
  EXPECT_EQ(sentences(R"(root ::= "\n\r\t\\\"\[\]")", 7), Texts({"\n\r\t\\\"[]"}));
  EXPECT_EQ(sentences(R"(root ::= "\u20ac\U0001F600")", 9), Texts({"\xe2\x82\xac\xf0\x9f\x98\x80"}));
  EXPECT_EQ(sentences("root ::= \"\xe2\x82\xac\""), Texts({"\xe2\x82\xac"}));
  EXPECT_EQ(sentences(R"(root ::= "\xe9")"), Texts({"\xc3\xa9"}));
  EXPECT_EQ(sentences(R"(root ::= [\x61-b\-] "c")"), Texts({"ac", "bc"}));
  EXPECT_EQ(sentences("root ::= [a-] [b\\]]"), Texts({"ab"}));
}

TEST(GrammarText, RulesMayNeedThemselves) {
  EXPECT_EQ(sentences("root ::= root \"a\" | \"b\"", 3), Texts({"b", "ba", "baa"}));
  EXPECT_EQ(sentences("root ::= \"a\" root \"b\" | \"c\"", 5), Texts({"c", "acb", "aacbb"}));
}

void expect_text_refused(std::string_view text, std::string_view part) {
  test::expect_error(ErrorCode::kInvalidArgument, part, [&] { parse_grammar_text(text); });
}

TEST(GrammarText, RefusesWithTheLine) {
  expect_text_refused("", "expected a rule, such as root ::= \"yes\"");
  expect_text_refused("a ::= \"x\"", "expected a rule named root");
  expect_text_refused("root ::= a\n", "line 1: expected a rule that is defined, got a");
  expect_text_refused("root ::= \"a\"\n\nroot ::= \"b\"", "line 3: expected each rule once, got root again");
  expect_text_refused("root = \"a\"",
                      "line 1: expected NAME ::= and what the rule stands for, got \"root = ");
  expect_text_refused("root ::= \"a\" )", "line 1: expected a rule, or one of");
  expect_text_refused("root ::= (\"a\"\n", "line 2: expected ), got the end");
  expect_text_refused("root ::= \"a", "line 1: expected \" at the end of the text, got the end");
  expect_text_refused("root ::= \"a\nb\"",
                      "line 1: expected \" at the end of the text, got the end of the line");
  expect_text_refused("root ::= [a", "line 1: expected ] at the end of the characters");
  expect_text_refused("root ::= []", "expected a character between [ and ]");
  expect_text_refused("root ::= [z-a]", "expected characters in ascending order");
  expect_text_refused("root ::= \"\\q\"", "expected one of n r t");
  expect_text_refused("root ::= \"\\x4\"", "expected 2 hexadecimal digits");
  expect_text_refused("root ::= \"\\ud800\"", "expected a character, got the number 0xd800");
  expect_text_refused("root ::= \"\\U00110000\"", "expected a character, got the number 0x110000");
  expect_text_refused("root ::= \"\xff\"", "expected UTF-8, got \"\\xff");
  expect_text_refused("root ::= \"a\"{2,1}", "expected bounds in ascending order, got {2,1}");
  expect_text_refused("root ::= \"a\"{x}", "expected a number of repetitions, got \"x}\"");
  expect_text_refused("root ::= \"a\"{1", "expected } after the bounds");
  expect_text_refused("root ::= * \"a\"", "expected a rule, or one of");
}

TEST(GrammarText, HasLimits) {
  expect_text_refused("root ::= \"a\"{10001}", "expected a number of repetitions up to 10000");
  expect_text_refused("root ::= \"a\"{99999999999999999999}", "expected a number of repetitions up to 10000");
  expect_text_refused("root ::= " + std::string(65, '('), "expected at most 64 levels of brackets");
  expect_text_refused("root ::= \"a\"*****", "expected at most 4 repetitions of each other");
  expect_text_refused(std::string((256 << 10) + 1, ' '), "expected at most 262144 bytes, got 262145");
}

}  // namespace
}  // namespace lille
