#include "grammar/compiled_grammar.h"

#include <gtest/gtest.h>

#include "grammar/grammar_text.h"
#include "grammar/utf8_ranges.h"
#include "support.h"

namespace lille {
namespace {

CompiledGrammar compiled(std::string_view text) { return CompiledGrammar(parse_grammar_text(text)); }

void expect_refused(std::string_view text, std::string_view part) {
  test::expect_error(ErrorCode::kInvalidArgument, part, [&] { compiled(text); });
}

TEST(CompiledGrammar, RefusesWhatNoTextFulfils) {
  expect_refused("root ::= \"a\" root", "expected a rule root that a finite text can fulfil");
  expect_refused("root ::= root", "expected a rule root that a finite text can fulfil");
  expect_refused("root ::= a a ::= \"x\" b b ::= a{3} | \"y\" a", "expected a rule root");
  // Surrogates are no characters, so nothing is left.
  const Expression surrogate = characters_of({{0xd800, 0xdfff}});
  RuleSet rules;
  rules.rules[rules.add("root")] = surrogate;
  test::expect_error(ErrorCode::kInvalidArgument, "expected a rule root", [&] { CompiledGrammar{rules}; });
}

TEST(CompiledGrammar, LeavesOutChoicesThatNoTextFulfils) {
  const CompiledGrammar grammar = compiled("root ::= \"x\" dead | \"y\" dead ::= \"z\" dead");
  ASSERT_EQ(grammar.byte_edges().size(), 1u);
  EXPECT_EQ(grammar.byte_edges()[0].first, 'y');
  EXPECT_TRUE(grammar.rule_edges().empty());
}

TEST(CompiledGrammar, HasLimits) {
  expect_refused("root ::= (\"abcdefghijk\" \"l\"{9999} ){9999} | \"" + std::string(100'000, 'x') + "\"",
                 "expected at most 100000 positions");
  RuleSet rules;
  rules.rules[rules.add("root")] = repeat_of(bytes_of("a"), 0, 10'001);
  test::expect_error(ErrorCode::kInvalidArgument, "expected at most 10000 times, got 10001",
                     [&] { CompiledGrammar{rules}; });
}

TEST(CompiledGrammar, RepetitionsOfRepetitionsAreSmall) {
  // One rule of 1000 positions for each level, not their product.
  EXPECT_LT(compiled("root ::= (((\"ab\"){1000} \"c\"){1000} \"d\"){0,1000}").n_positions(), 6000u);
}

TEST(CompiledGrammar, WhatIsSaidTwiceIsOneEdge) {
  for (const std::string& text : {"root ::= [" + std::string(100'000, 'a') + "]",
                                  std::string("root ::= [a-kb-za-zm] | [a-z] | \"q\" | \"q\""),
                                  std::string("root ::= ([a-f] | [g-z] | | | ())")}) {
    const CompiledGrammar grammar = compiled(text);
    EXPECT_EQ(grammar.byte_edges().size(), 1u) << text.substr(0, 40);
    EXPECT_LE(grammar.position(1).empties_begin, 1u) << text.substr(0, 40);
  }
  EXPECT_EQ(compiled("root ::= x | x | x x ::= \"a\"").rule_edges().size(), 1u);
}

TEST(CompiledGrammar, BytesLeadFromAClassToOnePlaceEach) {
  std::string text = "root ::= [";
  for (uint32_t code_point = 0x3400; code_point < 0x9000; code_point += 3) append_utf8(text, code_point);
  const CompiledGrammar grammar = compiled(text + "]");
  for (uint32_t idx = 0; idx < grammar.n_positions(); ++idx) {
    int last = -1;
    for (uint32_t edge = grammar.position(idx).bytes_begin; edge < grammar.position(idx + 1).bytes_begin;
         ++edge) {
      EXPECT_GT(grammar.byte_edges()[edge].first, last);
      last = grammar.byte_edges()[edge].last;
    }
  }
}

TEST(CompiledGrammar, ClassesTellBytesApartThatDiffer) {
  const CompiledGrammar grammar = compiled("root ::= [a-z]+ \"q\"");
  EXPECT_EQ(grammar.class_of('b'), grammar.class_of('p'));
  EXPECT_NE(grammar.class_of('p'), grammar.class_of('q'));
  EXPECT_NE(grammar.class_of('z'), grammar.class_of('{'));
  EXPECT_EQ(grammar.class_of('{'), grammar.class_of(255));
  // Before a, a to p, q, r to z, after z.
  EXPECT_EQ(grammar.n_classes(), 5u);
}

TEST(CompiledGrammar, KnowsWhichRulesMayBeNothing) {
  const CompiledGrammar grammar =
      compiled("root ::= none some none ::= \"a\"* none | maybe maybe ::= none | \"b\"? some ::= \"c\" none");
  EXPECT_FALSE(grammar.is_nullable(0));
  EXPECT_TRUE(grammar.is_nullable(1));
  EXPECT_FALSE(grammar.is_nullable(2));
  EXPECT_TRUE(grammar.is_nullable(3));
}

}  // namespace
}  // namespace lille
