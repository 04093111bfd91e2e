#include "grammar/json_rules.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "lille/grammar.h"

namespace lille {
namespace {

const Grammar& any_value() {
  static const Grammar grammar = Grammar::from_json_schema(R"({"$comment": "whatever"})");
  return grammar;
}

TEST(JsonRules, AnyValueIsJson) {
  for (const char* text :
       {"null", "true", "false", "0", "-1", "12.5e-3", "1E+10", "\"\"", "\"a\\n\\u00e9\\ud83d\\ude00\"", "[]",
        "[1,2, 3]", "{}", "{\"a\":1, \"b\": {\"c\":[null]}}", "\"\xe2\x82\xac\"", "\"\\u0000\"",
        "\"\x7f\""}) {
    ASSERT_TRUE(nlohmann::json::accept(text)) << text;
    EXPECT_TRUE(any_value().accepts(text)) << text;
  }
}

TEST(JsonRules, WhatJsonHasNotIsNotAccepted) {
  for (const char* text : {"",
                           "nul",
                           "01",
                           "-",
                           "1.",
                           ".5",
                           "1e",
                           "+1",
                           "'a'",
                           "\"",
                           "\"\\x\"",
                           "\"\n\"",
                           "\"\\ud800\"",
                           "\"\\udc00\"",
                           "\"\\ud800\\u0041\"",
                           "[1,]",
                           "[,1]",
                           "{1:2}",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "NaN",
                           "\"\xff\"",
                           "\"\xed\xa0\x80\"",
                           "// x\n1",
                           "1 1"}) {
    ASSERT_FALSE(nlohmann::json::accept(text)) << text;
    EXPECT_FALSE(any_value().accepts(text)) << text;
  }
}

TEST(JsonRules, SpaceAndNumbersAreBounded) {
  for (const char* text : {" 1", "1 ", "[ 1]", "[1 ]", "[1,  2]", "{\"a\" :1}", "{\"a\":\n1}", "{ }"}) {
    ASSERT_TRUE(nlohmann::json::accept(text)) << text;
    EXPECT_FALSE(any_value().accepts(text)) << text;
  }
  EXPECT_TRUE(any_value().accepts("9999999999999999.9999999999999999e99"));
  for (const char* text : {"12345678901234567", "0.12345678901234567", "1e100"})
    EXPECT_FALSE(any_value().accepts(text)) << text;
}

// Damaged documents: what is accepted is JSON to a parser that knows nothing of the grammar.
TEST(JsonRules, WhatIsAcceptedParses) {
  const std::string whole = R"({"a":[1,-2.5e3,"x\u00e9\ud83d\ude00\n"],"b":{"c":null, "d": true}})";
  std::mt19937 random(1);
  int n_accepted = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text = whole;
    for (auto n = 1 + random() % 2; n > 0; --n) {
      const auto from = random() % text.size();
      const auto at = random() % text.size();
      if (random() % 2 == 0)
        text[at] = text[from];
      else
        text.erase(at, 1 + random() % 3);
    }
    if (!any_value().accepts(text)) continue;
    ++n_accepted;
    EXPECT_TRUE(nlohmann::json::accept(text)) << text;
  }
  EXPECT_GT(n_accepted, 100);
}

}  // namespace
}  // namespace lille
