#include "io/json.h"

#include <gtest/gtest.h>

#include <string>

#include "support.h"

namespace lille {
namespace {

constexpr JsonSource kSource{.action = "load_config", .file = "dir/config.json"};

void expect_fault(std::string_view text, std::string_view message) {
  test::expect_error(ErrorCode::kCorruptFile, message, [text] { parse_json_object(text, kSource); });
}

TEST(Json, ReadsAnObject) {
  const nlohmann::json value = parse_json_object(R"( {"a": [1, {"b": null}], "c": {"a": 1}} )", kSource);
  EXPECT_EQ(value.at("a").at(0), 1);
  EXPECT_EQ(value.at("c").at("a"), 1);
}

TEST(Json, NamesFileAndFault) {
  expect_fault("", "[load_config] dir/config.json: expected JSON, got a parse error at line 1");
  expect_fault("{\"a\": }", "column 7");
  expect_fault("{\"a\": 1", "Hint: is the file whole?");
  expect_fault("{} x", "expected JSON");
  expect_fault("{\"a\": 1e999}",
               "[load_config] dir/config.json: expected JSON of numbers that a double can hold, up to "
               "1.8e308, got 1e999. "
               "Hint: write one nearer to 0");
  expect_fault("{\"a\": NaN}", "expected JSON");
}

TEST(Json, WantsAnObject) {
  expect_fault("[1]", "expected a JSON object, got an array");
  expect_fault("17", "expected a JSON object, got 17");
}

TEST(Json, RefusesDuplicateNamesAtEveryLevel) {
  expect_fault(R"({"a": 1, "b": 2, "a": 3})", "got \"a\" twice");
  expect_fault(R"({"x": [{"a": 1, "a": 1}]})", "got \"a\" twice");
  expect_fault(R"({"\u0061": 1, "a": 1})", "got \"a\" twice");
}

TEST(Json, RefusesDeepNesting) {
  const auto nested = [](int n_levels) {
    std::string text;
    for (int level = 0; level < n_levels; ++level) text += "{\"a\":";
    return text + "1" + std::string(static_cast<std::size_t>(n_levels), '}');
  };
  EXPECT_NO_THROW(parse_json_object(nested(16), kSource));
  expect_fault(nested(17), "at most 16 levels");
  expect_fault(nested(100'000), "at most 16 levels");
  expect_fault(std::string(100'000, '['), "at most 16 levels");
}

TEST(Json, QuotesBadBytesAsOneLineOfUtf8) {
  expect_fault("{\"a\xff\": 1}", "\\xff");
  expect_fault("{\"a\nb\": 1}", "expected JSON");
  expect_fault("{\"a\\n\\u202e\": 1, \"a\\n\\u202e\": 1}", "got \"a\\x0a\\u{202e}\" twice");
}

TEST(Json, DescribesValues) {
  EXPECT_EQ(describe(nlohmann::json::object()), "an object");
  EXPECT_EQ(describe(nlohmann::json::array({1})), "an array");
  EXPECT_EQ(describe(nlohmann::json("text")), "\"text\"");
  EXPECT_EQ(describe(nlohmann::json(2.5)), "2.5");
  EXPECT_EQ(describe(nlohmann::json(nullptr)), "null");
  EXPECT_EQ(describe(nlohmann::json(std::string(100, 'x'))), "\"" + std::string(39, 'x') + "...");
}

}  // namespace
}  // namespace lille
