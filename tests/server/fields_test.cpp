#include "server/fields.h"

#include <gtest/gtest.h>

namespace lille {
namespace {

using nlohmann::json;

// The parameter and message of what an action refuses.
template <typename Action>
std::pair<std::string, std::string> refusal(Action&& action) {
  try {
    action();
  } catch (const RefusedRequest& error) {
    EXPECT_EQ(error.status(), 400);
    return {error.field(), error.what()};
  }
  ADD_FAILURE() << "nothing was refused";
  return {};
}

TEST(ParseBody, OneObjectIsTaken) {
  EXPECT_EQ(parse_body(R"({"a": [1, {"b": null}]})"), json::parse(R"({"a": [1, {"b": null}]})"));
}

TEST(ParseBody, EverythingElseIsRefused) {
  const std::string deep = "{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}";
  const std::string nul("{\"a\": \"\0\"}", 10);
  const std::string utf16("\xff\xfe{\0}\0", 6);
  for (const std::string& body :
       {std::string(), std::string("x"), std::string("[]"), std::string("5"), deep, nul, utf16,
        std::string("\xEF\xBB\xBF{}"), std::string(R"({"a": 1, "a": 2})"), std::string(R"({"a": 1e999})"),
        std::string(R"({"a": "\ud800"})"), std::string("{\"a\": \"\xff\"}"), std::string(R"({"a": 1} {})"),
        std::string(R"({"a": NaN})"), std::string(R"({"a": 1)")}) {
    const auto [param, message] = refusal([&] { parse_body(body); });
    EXPECT_TRUE(json::accept(error_body(RefusedRequest(400, message)))) << message;
    EXPECT_LT(message.size(), 400u);
  }
}

TEST(Fields, ValuesAreCheckedAndNullIsAbsent) {
  const json object =
      json::parse(R"({"yes": true, "n": 5, "t": "x", "none": null, "big": 1e30, "f": 1.5, "other": 1})");
  Fields fields(object, "in.");
  EXPECT_TRUE(fields.flag("yes", false));
  EXPECT_TRUE(fields.flag("none", true));
  EXPECT_EQ(fields.number("n", 0, 5), 5);
  EXPECT_EQ(fields.number("none", 0, 5), std::nullopt);
  EXPECT_EQ(fields.text("t"), "x");
  EXPECT_EQ(fields.text("absent"), std::nullopt);
  EXPECT_EQ(
      refusal([&] { fields.number("n", 0, 4); }),
      (std::pair<std::string, std::string>("in.n", "in.n: expected a whole number from 0 to 4, got 5")));
  EXPECT_EQ(refusal([&] { fields.number("big", 0, 4); }).first, "in.big");
  EXPECT_EQ(refusal([&] { fields.number("f", 0, 4); }).first, "in.f");
  EXPECT_EQ(refusal([&] { fields.number("t", 0, 4); }).first, "in.t");
  EXPECT_EQ(refusal([&] { fields.flag("n", true); }).first, "in.n");
  EXPECT_EQ(refusal([&] { fields.text("n"); }).first, "in.n");
  EXPECT_EQ(fields.unknown(), std::vector<std::string>{"in.other"});
  fields.accept("other");
  EXPECT_TRUE(fields.unknown().empty());
  EXPECT_EQ(refusal([&] { Fields(object["n"], "in."); }).first, "in");
}

TEST(Fields, NumbersAtTheEndsOfTheirTypesAreInOrOut) {
  const json object = json::parse(R"({"most": 18446744073709551615, "least": -9223372036854775808})");
  Fields fields(object);
  EXPECT_EQ(refusal([&] { fields.number("most", -1, 1'000'000'000); }).first, "most");
  EXPECT_EQ(refusal([&] { fields.number("least", -1, 1'000'000'000); }).first, "least");
}

TEST(TellIgnored, TheHeaderIsAsciiAndBounded) {
  ApiReply reply;
  tell_ignored(reply, {});
  EXPECT_TRUE(reply.headers.empty());
  std::vector<std::string> names(40, "name");
  names[0] = "a\r\nSet-Cookie: x\xc3\xa9";
  tell_ignored(reply, names);
  const std::string& value = reply.headers.at(0).second;
  EXPECT_TRUE(value.starts_with("a??Set-Cookie: x??, name")) << value;
  EXPECT_TRUE(value.ends_with("name, ..."));
}

}  // namespace
}  // namespace lille
