#include "lille/grammar.h"

#include <gtest/gtest.h>

#include "support.h"

namespace lille {
namespace {

TEST(Grammar, AcceptsWholeTextsAndTheirBeginnings) {
  const Grammar grammar = Grammar::parse("root ::= \"yes\" | \"no\"");
  EXPECT_TRUE(grammar.accepts("yes"));
  EXPECT_FALSE(grammar.accepts("ye"));
  EXPECT_TRUE(grammar.accepts_prefix("ye"));
  EXPECT_TRUE(grammar.accepts_prefix(""));
  EXPECT_FALSE(grammar.accepts_prefix("x"));
  const Grammar copy = grammar;
  EXPECT_TRUE(copy.accepts("no"));
}

TEST(Grammar, BoundsWhatTheReadingsOfATextTake) {
  const std::string text(20'000, 'a');
  const Grammar ambiguous = Grammar::parse("root ::= \"a\" root | \"a\" | \"a\" root \"b\"");
  test::expect_error(ErrorCode::kInvalidArgument,
                     "[grammar] the readings of the text so far take more memory",
                     [&] { ambiguous.accepts_prefix(text); });
  EXPECT_TRUE(Grammar::parse("root ::= [a-z]{10000} [a-z]{1,10000}").accepts(text));
}

TEST(Grammar, RefusesByName) {
  test::expect_error(ErrorCode::kInvalidArgument, "grammar: line 1: expected", [] { Grammar::parse("x"); });
  test::expect_error(ErrorCode::kInvalidArgument, "json_schema.type: expected",
                     [] { Grammar::from_json_schema(R"({"type": "x"})"); });
}

TEST(Grammar, EveryRefusalBeginsWithWhereTheTextComesFrom) {
  for (const std::string& text :
       {std::string(), std::string("x"), std::string("a ::= \"x\""), std::string("root ::= a"),
        std::string("root ::= root"), std::string("root ::= \"\\ud800\""), "root ::= " + std::string(65, '('),
        std::string("root ::= \"a\"{2,1}"), "root ::= \"" + std::string(100'000, 'x') + '"',
        std::string(300'000, ' ')})
    test::expect_error(ErrorCode::kInvalidArgument, "", [&] {
      try {
        Grammar::parse(text, "rules.txt");
      } catch (const Error& error) {
        EXPECT_TRUE(std::string_view(error.what()).starts_with("rules.txt: ")) << error.what();
        throw;
      }
    });
  // What only the compiled grammar shows.
  const std::string many = R"({"const": ")" + std::string(100'000, 'x') + R"("})";
  test::expect_error(ErrorCode::kInvalidArgument, "pet.json: expected at most 100000 positions",
                     [&] { Grammar::from_json_schema(many, "pet.json"); });
  test::expect_error(ErrorCode::kInvalidArgument, "pet.json: expected a rule pet.json that a finite text",
                     [] { Grammar::from_json_schema(R"({"$ref":"#"})", "pet.json"); });
}

}  // namespace
}  // namespace lille
