#include "io/json_text.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <nlohmann/json.hpp>

namespace lille {
namespace {

constexpr std::array<std::string_view, 2> kPath = {"a", "b"};

TEST(JsonText, NamesKeepTheirOrderAndNumbersTheirDigits) {
  EXPECT_EQ(
      json_text_at(
          R"({"x": {"b": 1}, "a": {"c": [{"b": 2}], "b": {"z": 1.50, "y": [], "x": [{}, -3, 18446744073709551615],
                             "w": {"b": null, "a": [true, false]}}, "d": 5}, "e": 6})",
          kPath),
      R"({"z":1.50,"y":[],"x":[{},-3,18446744073709551615],"w":{"b":null,"a":[true,false]}})");
  EXPECT_EQ(json_text_at(R"({"\u0061": {"b": "\u00e9\"\\\n"}})", kPath), "\"\xc3\xa9\\\"\\\\\\n\"");
  EXPECT_EQ(json_text_at(R"({"a": {"b": [1, "x"]}})", kPath), R"([1,"x"])");
  EXPECT_EQ(json_text_at(R"({"a": {"b": 7, "c": 8}})", kPath), "7");
}

TEST(JsonText, OnlyThePathLeadsThere) {
  for (const char* text :
       {R"({})", R"({"b": 1})", R"({"a": 1, "b": 2})", R"({"a": [{"b": 1}]})", R"({"a": {"c": {"b": 1}}})",
        R"({"c": {"a": {"b": 1}}})", R"({"c": {"b": 1}, "a": {}})", R"({"a": {"a": 1}, "b": {"b": 2}})",
        R"({"a": "b", "c": {"b": 1}})", R"([{"a": {"b": 1}}])"})
    EXPECT_EQ(json_text_at(text, kPath), "") << text;
}

TEST(JsonText, IsWhatTheParserOfOrderedObjectsSays) {
  const std::string value =
      R"({"q":[{"z":"\u0007","a":{}},[[],[1,2,[3]]],"",0,-0,1e-3],"b":{"b":{"b":false}},"":null})";
  const std::string text = R"({"u":[1,{"a":{"b":2}}],"a":{"t":{"b":[]},"b":)" + value + R"(,"v":"b"}})";
  EXPECT_EQ(nlohmann::ordered_json::parse(json_text_at(text, kPath)).dump(),
            nlohmann::ordered_json::parse(value).dump());
}

TEST(JsonText, ManyNamesCostNoMoreThanTheirBytes) {
  // As ordered_json, in which each name is looked for among those before it, this would take a minute.
  std::string value = "{";
  for (int idx = 0; idx < 100'000; ++idx) value += fmt::format("{}\"{}\":0", idx == 0 ? "" : ",", idx);
  value += "}";
  EXPECT_EQ(json_text_at(R"({"a":{"b":)" + value + "}}", kPath), value);
}

}  // namespace
}  // namespace lille
