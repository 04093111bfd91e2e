#include "grammar/json_schema.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <random>

#include "grammar/pcre.h"
#include "grammar/utf8_ranges.h"
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
      {R"({"type":"integer","minimum":1.5,"maximum":3.999})", {"2", "3"}, {"1", "4", "2.0"}},
      {R"({"type":"integer","minimum":-9223372036854775808,"maximum":18446744073709551616})",
       {"9999999999999999", "-9999999999999999", "0"},
       {"10000000000000000", "-0"}},
      {R"({"type":"integer","multipleOf":7,"minimum":10,"exclusiveMaximum":28})",
       {"14", "21"},
       {"7", "28", "15"}},
      {R"({"type":"integer","multipleOf":1.5})", {"3", "-6", "0"}, {"1", "2", "1.5"}},
      {R"({"type":"number","minimum":-0.5,"exclusiveMaximum":1e-3})",
       {"-0.5", "-0.500", "0", "0.0009999999999999", "-0.4999"},
       {"0.001", "-0.51", "0.0010", "1", "-1", "1e-4", "-0"}},
      {R"({"type":"number","exclusiveMinimum":0.1234567890123456789,"maximum":0.1234567890123457})",
       {"0.1234567890123457"},
       {"0.1234567890123456", "0.1234567890123458", "0"}},
      {R"({"type":"number","multipleOf":0.01,"minimum":0})",
       {"0.01", "19.99", "3", "2.50", "0.0"},
       {"0.001", "-1.00", "1.005", "2.500"}},
      {R"({"type":"number","multipleOf":2.5})",
       {"2.5", "-5", "10.0", "1000000000000000"},
       {"1", "2.6", "0.5", "10.00"}},
      {R"({"type":["integer","number","null"],"minimum":2,"maximum":3})",
       {"2", "2.5", "3.0", "null"},
       {"1", "3.1"}},
      {R"({"type":"string","pattern":"^[A-Z]{2}-\\d+$"})",
       {R"("AB-1")", R"("XY-20")"},
       {R"("ab-1")", R"("AB-1 ")", "\"\""}},
      {R"({"type":"string","pattern":"b+"})", {R"("b")", R"("abba")"}, {R"("a")", "\"\""}},
      {R"({"type":"string","pattern":"^[\"\\\\/\n\u0001]$"})",
       {R"("\"")", R"("\\")", R"("/")", R"("\n")", R"("\u0001")"},
       {R"("\/")", R"("\u000a")", R"("\u002f")", "\"\n\"", R"("\")"}},
      {R"({"type":["string","null"],"pattern":"^\u20ac$"})",
       {"\"\xe2\x82\xac\"", "null"},
       {R"("\u20ac")", "\"\""}},
      {R"({"type":"string","pattern":"^a+$","minLength":2,"maxLength":3})",
       {R"("aa")", R"("aaa")"},
       {R"("a")", R"("aaaa")"}},
      {R"({"type":"string","pattern":"x","maxLength":2})",
       {R"("x")", R"("ax")", R"("\nx")"},
       {R"("a")", R"("aax")"}},
      {R"({"type":"string","format":"email","minLength":3,"maxLength":254})",
       {R"("joe@example.com")"},
       {"\"\""}},
      {R"({"type":"string","format":"date"})", {R"("2024-02-29")"}, {R"("2023-02-29")", R"("2024-2-9")"}},
      {R"({"type":"string","format":"hostname","minLength":4,"maxLength":5,"pattern":"\\.a$"})",
       {R"("bb.a")", R"("b.c.a")"},
       {R"("b.a")", R"("bbbb.a")", R"("bb.b")"}},
      {R"({"type":"object","properties":{"a":{"type":"string","format":"uuid"},"b":{"type":"string","format":"uuid"},
           "c":{"type":"string","format":"ipv4","maxLength":7}},"required":["a","b","c"]})",
       {R"({"a":"2eb8aa08-aa98-11ea-b4aa-73b441d16380","b":"2EB8AA08-AA98-11EA-B4AA-73B441D16380","c":"1.2.3.4"})"},
       {R"({"a":"2eb8aa08-aa98-11ea-b4aa-73b441d16380","b":"","c":"1.2.3.4"})",
        R"({"a":"2eb8aa08-aa98-11ea-b4aa-73b441d16380","b":"2eb8aa08-aa98-11ea-b4aa-73b441d16380","c":"1.2.3.45"})"}},
      // As zod writes startsWith, lowercase and nanoid.
      {R"({"type":"string","format":"starts_with","pattern":"^a.*"})", {R"("ab")"}, {R"("b")"}},
      {R"({"type":"string","format":"lowercase","pattern":"^[^A-Z]*$","maxLength":3})",
       {R"("abc")"},
       {R"("aB")", R"("abcd")"}},
      {R"({"type":"string","format":"nanoid","pattern":"^[a-zA-Z0-9_-]{21}$"})",
       {R"("V1StGXR8_Z5jdHi6B-myT")"},
       {R"("V1StGXR8")"}},
      {R"({"type":["string","null"]})", {"null", "\"x\""}, {"1", "true"}},
      {R"({"anyOf":[{"type":"boolean"},{"const":{"a":[1]}}]})",
       {"true", R"({"a":[1]})"},
       {"null", R"({"a":[2]})"}},
      {R"({"type":"string","enum":["a",1,"b\""]})", {R"("a")", R"("b\"")"}, {"1"}},
      // Numbers of which a double would make others.
      {R"({"enum":[0.1234567890123456789,18446744073709551617,{"a":[1.10,{"b":-1E2}]},-9223372036854775809]})",
       {"0.1234567890123456789", "18446744073709551617", R"({"a":[1.10,{"b":-1E2}]})",
        "-9223372036854775809"},
       {"0.12345678901234568", "1.8446744073709552e+19", R"({"a":[1.1,{"b":-100.0}]})"}},
      {R"({"const":9007199254740993.5})", {"9007199254740993.5"}, {"9007199254740994.0"}},
      {R"({"type":"integer","enum":[1,2.0,3e1,25e-1,0.99999999999999999999,1e-2000]})",
       {"1", "2.0", "3e1"},
       {"25e-1", "0.99999999999999999999", "1.0", "1e-2000"}},
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
  expect_schema_refused(R"({"type":"object","properties":{"x":{"type":"string","format":"uri"}}})",
                        "s.properties.x.format: expected one of date-time, time, date, duration, email, "
                        "hostname, ipv4, ipv6, uuid, "
                        "got \"uri\"");
  // Formats that JSON Schema knows say more than a pattern beside them.
  for (const char* format : {"uri", "uri-reference", "iri", "iri-reference", "uri-template", "idn-email",
                             "idn-hostname", "json-pointer", "relative-json-pointer", "regex"})
    expect_schema_refused(fmt::format(R"({{"type":"string","format":"{}","pattern":"a"}})", format),
                          "s.format: expected one of date-time");
  expect_schema_refused(R"({"type":"string","format":"starts_with"})", "s.format: expected one of date-time");
  expect_schema_refused(R"({"type":"string","minimum":1})",
                        "s.minimum: not understood for the type string, expected type, minLength, maxLength, "
                        "pattern, format");
  expect_schema_refused(R"({"type":"boolean","pattern":"a+"})",
                        "s.pattern: not understood for the type boolean");
  expect_schema_refused(
      R"({"type":"string","pattern":"a(?=b)c"})",
      "s.pattern: character 2: look-ahead but behind a ^ at the beginning is not understood");
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
                        "s.$defs.a.format: expected one of");
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
  const char* const between = "s: expected bounds that a whole number of at most 16 digits is between";
  expect_schema_refused(R"({"type":"integer","minimum":99999999999999999})", between);
  expect_schema_refused(R"({"type":"integer","minimum":2,"maximum":1})", between);
  expect_schema_refused(R"({"type":"integer","minimum":1.1,"maximum":1.9})", between);
  expect_schema_refused(R"({"type":"integer","minimum":1,"maximum":6,"multipleOf":7})",
                        "is between, and a multiple, got none");
  expect_schema_refused(R"({"type":"number","exclusiveMinimum":1,"maximum":1})",
                        "s: expected bounds that a number of at most 16 digits is between, got none");
  expect_schema_refused(R"({"type":"integer","exclusiveMinimum":true})",
                        "s.exclusiveMinimum: expected a number, got true");
  expect_schema_refused(R"({"type":"number","minimum":"1"})", "s.minimum: expected a number, got \"1\"");
  expect_schema_refused(
      R"({"type":"number","maximum":1e-2000})",
      "s.maximum: expected a number whose first digit is at most 1000 places from the point, "
      "got 1e-2000");
  for (const char* multiple : {"0", "-1", "10001", "1.00001", "1e-33", "0.0", "1e-400"})
    expect_schema_refused(
        fmt::format(R"({{"type":"number","multipleOf":{}}})", multiple),
        fmt::format(
            "s.multipleOf: expected a number above 0, of at most 10000 when its point is left out, with at "
            "most 32 digits behind it, got {}",
            multiple));
  for (const char* number : {"1e309", "-1e309", "1e400"})
    expect_schema_refused(
        fmt::format(R"({{"type":"number","maximum":{}}})", number),
        fmt::format("s: expected JSON of numbers that a double can hold, up to 1.8e308, got {}. Hint:",
                    number));
  expect_schema_refused(R"({"type":"string","pattern":1})", "s.pattern: expected a text, got 1");
  expect_schema_refused(R"({"type":"string","format":null})", "s.format: expected a text, got null");
  expect_schema_refused(R"({"type":"string","pattern":"a^"})",
                        "s.pattern: expected what some text fulfils, got what none does");
  expect_schema_refused(R"({"type":"string","pattern":"^a+$","format":"date"})",
                        "s.pattern: expected what some text fulfils, got");
  expect_schema_refused(R"({"type":"string","pattern":"^a$","minLength":2})",
                        "s: expected what some text fulfils");
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
  expect_schema_refused(R"({"type":"string","pattern":"^(a|b)*a(a|b){40}$"})", "s.pattern: expected");
  expect_schema_refused(R"({"type":"string","pattern":"^(?:a{9999}){9999}$"})", "s.pattern: expected");
}

// The work of all together is bounded, and what is said twice is done once.
TEST(JsonSchema, WorkForPatternsAndNumbersIsBounded) {
  std::string same = R"({"anyOf":[)";
  std::string different = same;
  for (int idx = 0; idx < 2000; ++idx) {
    same += fmt::format(R"({}{{"type":"string","format":"ipv6"}})", idx == 0 ? "" : ",");
    different +=
        fmt::format(R"({}{{"type":"string","pattern":"^[a-z]{{1,999}}{}$"}})", idx == 0 ? "" : ",", idx);
  }
  EXPECT_TRUE(Grammar::from_json_schema(same + "]}", "s").accepts("\"::1\""));
  expect_schema_refused(different + "]}",
                        "].pattern: expected patterns, formats, bounds and multiples that take");
}

// Both ways: what a pattern and JSON's own rules make of a text.
TEST(JsonSchema, TextsOfAPatternAreWrittenInOneForm) {
  const std::string pattern = "^[\\u0000-\\u0040\\\\z\u00e9\u20ac]{1,3}$";
  const Grammar grammar =
      Grammar::from_json_schema(nlohmann::json{{"type", "string"}, {"pattern", pattern}}.dump());
  const test::Pcre pcre(pattern);
  std::mt19937 random(1);
  int n_accepted = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string text;
    for (auto n = random() % 5; n > 0; --n)
      append_utf8(text, random() % 8 == 0 ? 0x20ac : random() % 8 == 0 ? '\\' : random() % 0x48);
    const std::string written = nlohmann::json(text).dump();
    ASSERT_EQ(grammar.accepts(written), pcre.is_found_in(text)) << written;
    n_accepted += grammar.accepts(written) ? 1 : 0;
  }
  EXPECT_GT(n_accepted, 1000);
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
