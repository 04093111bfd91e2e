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

TEST(Grammar, RefusesByName) {
  test::expect_error(ErrorCode::kInvalidArgument, "[grammar] line 1: expected", [] { Grammar::parse("x"); });
  test::expect_error(ErrorCode::kInvalidArgument, "json_schema.type: expected",
                     [] { Grammar::from_json_schema(R"({"type": "x"})"); });
}

}  // namespace
}  // namespace lille
