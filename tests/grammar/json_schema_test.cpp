#include "grammar/json_schema.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>

#include "lille/grammar.h"
#include "support.h"

namespace lille {
namespace {

struct Case {
  const char* schema;
  std::vector<const char*> accepted;
  std::vector<const char*> refused;
};

TEST(JsonSchema, AllowsWhatItSays) {
  const Case cases[] = {
      {R"({"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"boolean"}},
           "required":["a","b"],"additionalProperties":false})",
       {R"({"b":1,"a":true})", R"({"b": -20, "a": false})"},
       {R"({"a":true,"b":1})", R"({"b":1})", "{}", R"({"b":1,"a":true,"c":1})", R"({"b":1.5,"a":true})"}},
      {R"({"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"},"c":{"type":"null"}},
           "required":["b"]})",
       {R"({"b":null})", R"({"a":null,"b":null})", R"({"b":null,"c":null})",
        R"({"a":null,"b":null,"c":null})"},
       {"{}", R"({"a":null})", R"({"a":null,"c":null})", R"({,"b":null})", R"({"a":null"b":null})"}},
      {R"({"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"}}})",
       {"{}", R"({"a":null})", R"({"b":null})", R"({"a":null, "b":null})"},
       {R"({"b":null,"a":null})", R"({,})"}},
      {R"({"type":"object"})", {"{}", R"({"x":[1,{"y":null}]})"}, {"[]", "1", "{"}},
      {R"({"type":"object","additionalProperties":false})", {"{}"}, {R"({"x":1})"}},
      {R"({"type":"array","items":{"enum":["x","y",1,null]},"minItems":1,"maxItems":3})",
       {R"(["x"])", R"(["y",1, null])"},
       {"[]", R"(["x","x","x","x"])", R"(["z"])", R"(["x",])"}},
      {R"({"type":"array","items":{"type":"null"},"minItems":2})",
       {"[null,null]", "[null,null,null]"},
       {"[]", "[null]"}},
      {R"({"type":"array","maxItems":0})", {"[]"}, {"[1]"}},
      {R"({"type":"array"})", {"[]", R"([1,"a",[{}]])"}, {"{}"}},
      {R"({"type":"string","minLength":2,"maxLength":3})",
       {R"("ab")", R"("\u00e9\n")", "\"\xe2\x82\xac\xe2\x82\xac\xf0\x9f\x98\x80\"", R"("\ud83d\ude00x")"},
       {R"("a")", R"("abcd")", "\"\"", R"("\ud83d\ude00")"}},
      {R"({"type":"integer","minimum":1,"maximum":12})",
       {"1", "9", "10", "12"},
       {"0", "13", "-1", "1.5", "1e0"}},
      {R"({"type":"integer","exclusiveMinimum":-3})", {"-2", "0", "99999"}, {"-3", "-10"}},
      {R"({"type":["string","null"]})", {"null", "\"x\""}, {"1", "true"}},
      {R"({"anyOf":[{"type":"boolean"},{"const":{"a":[1]}}]})",
       {"true", R"({"a":[1]})"},
       {"null", R"({"a":[2]})"}},
      {R"({"type":"string","enum":["a",1,"b\""]})", {R"("a")", R"("b\"")"}, {"1"}},
      {R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":
           {"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},
           "required":["v","next"],"additionalProperties":false}}})",
       {R"({"v":1,"next":null})", R"({"v":1,"next":{"v":2,"next":{"v":3,"next":null}}})"},
       {R"({"v":1})", R"({"v":1,"next":{}})"}},
      {R"({"type":"object","properties":{"kids":{"type":"array","items":{"$ref":"#"}}},"required":["kids"]})",
       {R"({"kids":[]})", R"({"kids":[{"kids":[]},{"kids":[{"kids":[]}]}]})"},
       {R"({"kids":[{}]})"}},
      {R"({"type":"object","properties":{"a\"\u20ac":{"type":"null"}},"required":["a\"\u20ac"]})",
       {"{\"a\\\"\xe2\x82\xac\":null}"},
       {"{\"a\":null}"}},
  };
  for (const Case& one : cases) {
    const Grammar grammar = Grammar::from_json_schema(one.schema);
    for (const char* text : one.accepted) EXPECT_TRUE(grammar.accepts(text)) << one.schema << "\n" << text;
    for (const char* text : one.refused) EXPECT_FALSE(grammar.accepts(text)) << one.schema << "\n" << text;
  }
}

void expect_schema_refused(std::string_view schema, std::string_view part) {
  test::expect_error(ErrorCode::kInvalidArgument, part, [&] { Grammar::from_json_schema(schema, "s"); });
}

TEST(JsonSchema, RefusesByNameWhatItDoesNotUnderstand) {
  expect_schema_refused(
      R"({"type":"object","properties":{"x":{"type":"string","format":"date"}}})",
      "s.properties.x.format: not understood for the type string, expected type, minLength, maxLength");
  expect_schema_refused(R"({"type":"string","pattern":"a+"})", "s.pattern: not understood");
  expect_schema_refused(R"({"type":"number","minimum":1})", "s.minimum: not understood for the type number");
  for (const char* types : {R"(["integer","number"])", R"(["number","integer"])"})
    expect_schema_refused(fmt::format(R"({{"type":{},"minimum":100}})", types), "s.minimum: not understood");
  expect_schema_refused(R"({"type":"array","items":{"type":"array","uniqueItems":true}})",
                        "s.items.uniqueItems: not");
  expect_schema_refused(R"({"oneOf":[{"type":"null"}]})", "s.oneOf: not understood without a type");
  expect_schema_refused(R"({"allOf":[]})", "s.allOf: not understood");
  expect_schema_refused(R"({"anyOf":[{"type":"null"},{"type":"object","patternProperties":{}}]})",
                        "s.anyOf[1].patternProperties: not understood");
  expect_schema_refused(R"({"type":"object","additionalProperties":true})",
                        "s.additionalProperties: expected false, got true");
  expect_schema_refused(R"({"type":"object","additionalProperties":{}})",
                        "s.additionalProperties: expected false, got an object");
  expect_schema_refused(R"({"$ref":"#/$defs/a","$defs":{"a":{"type":"string","format":"uri"}}})",
                        "s.$defs.a.format: not understood");
  expect_schema_refused(R"({"anyOf":[{"type":"null"}],"type":"object"})",
                        "s.type: not understood beside anyOf");
  expect_schema_refused(R"({"$ref":"#","type":"object"})", "s.type: not understood beside $ref");
  expect_schema_refused(R"({"enum":[1],"minLength":1})", "s.minLength: not understood beside const and enum");
}

TEST(JsonSchema, RefusesWhatIsNoSchema) {
  expect_schema_refused("", "[json_schema] s: expected JSON");
  expect_schema_refused("[]", "[json_schema] s: expected a JSON object, got an array");
  expect_schema_refused(R"({"type":"object","type":"null"})", "expected each name once, got \"type\" twice");
  expect_schema_refused(
      R"({"type":"str"})",
      "s.type: expected object, array, string, number, integer, boolean or null, got \"str\"");
  expect_schema_refused(R"({"type":[]})", "s.type: expected object, array");
  expect_schema_refused(R"({"type":["null","string","null"]})",
                        "s.type: expected each type once, got \"null\" twice");
  expect_schema_refused(R"({"type":7})", "s.type: expected object, array");
  expect_schema_refused(R"({"type":"object","properties":{"a":false}})",
                        "s.properties.a: expected a schema, which is an object or true, got false");
  expect_schema_refused(R"({"type":"object","properties":[]})",
                        "s.properties: expected an object of schemas");
  expect_schema_refused(R"({"type":"object","required":["a"]})",
                        "s.required: expected names that stand in properties, got \"a\"");
  expect_schema_refused(R"({"type":"object","required":1})", "s.required: expected an array of names, got 1");
  expect_schema_refused(R"({"type":"array","minItems":-1})",
                        "s.minItems: expected a whole number from 0 to 10000, got -1");
  expect_schema_refused(R"({"type":"array","maxItems":10001})",
                        "s.maxItems: expected a whole number from 0 to 10000");
  expect_schema_refused(R"({"type":"string","minLength":3,"maxLength":2})",
                        "s.maxLength: expected at least minLength's 3, got 2");
  expect_schema_refused(R"({"type":"integer","minimum":1.5})",
                        "s.minimum: expected a whole number of at most 16 digits, got 1.5");
  expect_schema_refused(R"({"type":"integer","minimum":99999999999999999})",
                        "s.minimum: expected a whole number of at most 16");
  expect_schema_refused(R"({"type":"integer","minimum":2,"maximum":1})",
                        "s: expected bounds that a whole number is between");
  expect_schema_refused(R"({"enum":[]})", "s.enum: expected an array of values, got an empty one");
  expect_schema_refused(R"({"enum":["a"],"type":"null"})",
                        "s.enum: expected a value of the type beside it, got none");
  expect_schema_refused(R"({"enum":[1],"const":1})", "s: expected const or enum");
  expect_schema_refused(R"({"anyOf":[]})", "s.anyOf: expected an array of schemas, got an empty one");
  expect_schema_refused(R"({"$ref":"#/$defs/a"})", "s.$ref: expected a place in this schema");
  expect_schema_refused(R"({"$ref":"#/x~"})", "s.$ref: expected a place in this schema");
  expect_schema_refused(R"({"$ref":"http://x"})",
                        "s.$ref: expected \"#\" or \"#/$defs/NAME\", got \"http://x\"");
  expect_schema_refused(R"({"$ref":"#"})", "that a finite text can fulfil");
  expect_schema_refused(R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})",
                        "that a finite text can fulfil");
}

TEST(JsonSchema, HasLimits) {
  std::string deep = R"({"type":"null"})";
  for (int level = 0; level < 10; ++level) deep = R"({"anyOf":[)" + deep + "]}";
  expect_schema_refused(deep, "at most 16 levels");
  expect_schema_refused(std::string(300'000, ' ') + "{}", "s: expected at most 262144 bytes, got 300002");
  // Each text's characters are one rule; so many repetitions are more than a grammar may have.
  std::string many = R"({"type":"object","properties":{)";
  for (int idx = 0; idx < 12; ++idx)
    many += fmt::format(R"({}"p{}":{{"type":"string","maxLength":10000}})", idx == 0 ? "" : ",", idx);
  expect_schema_refused(many + "}}", "expected at most 100000 positions");
}

// `part` for numbers from n - 1 down to 0, with commas between them.
std::string counted_down(int n, const std::function<std::string(int)>& part) {
  std::string text;
  for (int idx = n - 1; idx >= 0; --idx) text += part(idx) + (idx == 0 ? "" : ",");
  return text;
}

// Work that grew with the square of the number of names would take many seconds here.
TEST(JsonSchema, ReadsAsManyNamesAsFitInTheirOrder) {
  const auto with_value = [](int idx) { return fmt::format(R"("{}":0)", idx); };
  const auto with_schema = [](int idx) { return fmt::format(R"("{}":{{}})", idx); };

  const std::string object = '{' + counted_down(25'000, with_value) + '}';
  const RuleSet constant = parse_json_schema(R"({"const":)" + object + '}', "s");
  EXPECT_EQ(constant.rules[constant.root].bytes, object);

  const auto name = [](int idx) { return fmt::format(R"("{}")", idx); };
  RuleSet members =
      parse_json_schema(R"({"type":"object","properties":{)" + counted_down(12'000, with_schema) +
                            R"(},"required":[)" + counted_down(12'000, name) + "]}",
                        "s");
  // Of each member that has to be there two, those of the last one first.
  std::erase_if(members.names, [](const std::string& rule) { return !rule.starts_with("s.properties."); });
  std::vector<std::string> expected;
  for (int idx = 0; idx < 12'000; ++idx)
    expected.insert(expected.end(), 2, fmt::format("s.properties.{}", idx));
  EXPECT_EQ(members.names, expected);

  const auto reference = [](int idx) { return fmt::format(R"({{"$ref":"#/$defs/{}"}})", idx % 100); };
  const RuleSet references = parse_json_schema(R"({"$defs":{)" + counted_down(12'000, with_schema) +
                                                   R"(},"anyOf":[)" + counted_down(5'000, reference) + "]}",
                                               "s");
  EXPECT_EQ(references.rules[references.root].parts.size(), 5'000U);
}

TEST(JsonSchema, RefusesManyNamesByTheLimitOrTheOneThatStandsTwice) {
  const auto member = [](int idx) { return fmt::format(R"("{}":{{}})", idx); };
  const std::string members = counted_down(20'000, member);
  expect_schema_refused(R"({"type":"object","properties":{)" + members + "}}",
                        "expected at most 100000 positions");
  expect_schema_refused(R"({"type":"object","properties":{)" + members + R"(,"19999":{}}})",
                        "expected each name once, got \"19999\" twice");
  expect_schema_refused('{' + members + '}', "s.19999: not understood without a type");
}

}  // namespace
}  // namespace lille
