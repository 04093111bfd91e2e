#include "server/generation_request.h"

#include <regex>

#include "server/api_client.h"

namespace lille {
namespace {

using nlohmann::json;

class GenerationRequestTest : public test::ApiClient {
 protected:
  // A body that is right, with changes.
  static std::string completion(const json& changes) {
    json body = {{"prompt", "x"}, {"max_tokens", 1}};
    body.update(changes);
    return body.dump();
  }
  static std::string chat(const json& changes) {
    json body = {{"messages", {{{"role", "user"}, {"content", "x"}}}}, {"max_tokens", 1}};
    body.update(changes);
    return body.dump();
  }
  void expect_completion_refused(const json& changes, const std::string& param, const std::string& part) {
    expect_refused(400, param, part, "/v1/completions", completion(changes));
  }
  void expect_chat_refused(const json& changes, const std::string& param, const std::string& part) {
    expect_refused(400, param, part, "/v1/chat/completions", chat(changes));
  }
};

TEST_F(GenerationRequestTest, NullIsAsGoodAsAbsent) {
  json nulls = json::object();
  visit_options(*std::make_unique<GenerationOptions>(),
                [&](const OptionSpec& spec, const auto&) { nulls[std::string(spec.name)] = nullptr; });
  for (const std::string name : {"model", "n", "best_of", "stream", "stream_options", "suffix", "echo",
                                 "user", "response_format", "max_completion_tokens", "tools", "whatever"})
    nulls[name] = nullptr;
  nulls["max_tokens"] = 3;
  nulls["seed"] = 4;
  const json plain = answer("/v1/completions", {{"prompt", "x"}, {"max_tokens", 3}, {"seed", 4}});
  const ApiReply reply = post("/v1/completions", completion(nulls));
  EXPECT_EQ(json::parse(reply.body)["choices"], plain["choices"]);
  EXPECT_EQ(header(reply, "X-Lille-Ignored-Fields"), "");
  EXPECT_EQ(post("/v1/chat/completions", chat(nulls)).status, 200);
}

TEST_F(GenerationRequestTest, FaultsNameTheField) {
  expect_completion_refused({{"temperature", -1}}, "temperature", "expected a number from 0");
  expect_completion_refused({{"temperature", "hot"}}, "temperature", "got \"hot\"");
  expect_completion_refused({{"top_p", 2}}, "top_p", "expected a number from 0 to 1, got 2");
  expect_completion_refused({{"max_tokens", 1.5}}, "max_tokens", "expected a whole number");
  expect_completion_refused({{"max_tokens", -1}}, "max_tokens", "got -1");
  expect_completion_refused({{"seed", -1}}, "seed", "expected a whole number from 0");
  expect_completion_refused({{"n", 0}}, "n", "expected a whole number from 1 to 128, got 0");
  expect_completion_refused({{"n", 129}}, "n", "got 129");
  expect_completion_refused({{"n", 64}, {"prompt", {"a", "b", "c"}}}, "n",
                            "at most 128 answers to all prompts");
  expect_completion_refused({{"best_of", 1}, {"n", 2}}, "best_of", "expected a whole number from 2");
  expect_completion_refused({{"best_of", 2}, {"stream", true}}, "best_of", "of a stream");
  expect_completion_refused({{"logprobs", 21}}, "logprobs", "expected a whole number from 0 to 20");
  expect_completion_refused({{"logprobs", true}}, "logprobs", "got true");
  expect_completion_refused({{"stop", json::array({"a", 1})}}, "stop",
                            "expected a text or an array of texts");
  expect_completion_refused({{"stop", ""}}, "stop", "expected texts of 1 to 1024 bytes");
  expect_completion_refused({{"stop", std::vector<std::string>(17, "a")}}, "stop", "at most 16 texts");
  expect_completion_refused({{"logit_bias", {{"x", 1}}}}, "logit_bias",
                            "expected an object of numbers by token id");
  expect_completion_refused({{"logit_bias", {{"40000", 1}}}}, "logit_bias", "40000");
  expect_completion_refused({{"suffix", "end"}}, "suffix", "cannot fill a gap");
  expect_completion_refused({{"echo", 1}}, "echo", "expected true or false");
  expect_completion_refused({{"stream_options", {{"include_usage", true}}}}, "stream_options",
                            "without \"stream\"");
  expect_completion_refused({{"stream", true}, {"stream_options", {{"include_usage", 1}}}},
                            "stream_options.include_usage", "got 1");
  expect_completion_refused({{"max_completion_tokens", 2}}, "max_completion_tokens", "the 1 of max_tokens");
  expect_completion_refused({{"response_format", {{"type", "xml"}}}}, "response_format.type",
                            "expected \"text\", \"json_object\" or \"json_schema\", got \"xml\"");
  expect_completion_refused({{"response_format", "text"}}, "response_format", "expected an object");
  expect_completion_refused({{"overflow", "cut"}}, "overflow", "truncate-left");
  expect_chat_refused({{"top_logprobs", 2}}, "top_logprobs", "without \"logprobs\": true");
  expect_chat_refused({{"logprobs", 2}}, "logprobs", "true or false");
  expect_chat_refused({{"logprobs", true}, {"top_logprobs", 21}}, "top_logprobs", "from 0 to 20");
  expect_refused(404, "model", "expected \"tiny\"", "/v1/completions", completion({{"model", "gpt-4"}}));
  EXPECT_EQ(post("/v1/completions", completion({{"response_format", {{"type", "text"}}}})).status, 200);
}

TEST_F(GenerationRequestTest, FormatsNameWhatTheyDoNotUnderstand) {
  const auto refused = [this](const json& format, const std::string& param, const std::string& part) {
    expect_chat_refused({{"response_format", format}}, param, part);
  };
  const auto with_schema = [](const json& schema) {
    return json{{"type", "json_schema"}, {"json_schema", {{"name", "x"}, {"schema", schema}}}};
  };
  const std::string schema_field = "response_format.json_schema.schema";
  refused({{"type", "json_schema"}}, "response_format.json_schema", "got none");
  refused({{"type", "json_schema"}, {"json_schema", {{"name", "a b"}}}}, "response_format.json_schema.name",
          "1 to 64 letters");
  refused({{"type", "json_schema"}, {"json_schema", {{"name", "x"}}}}, schema_field,
          "a JSON Schema, got none");
  refused(with_schema(json::array()), schema_field, "a JSON Schema, got an array");
  refused(with_schema({{"type", "object"}, {"properties", {{"x", {{"type", "string"}, {"format", "uri"}}}}}}),
          schema_field, schema_field + ".properties.x.format: expected one of date-time, time, date");
  refused(with_schema({{"type", "string"}, {"pattern", "(a)\\1"}}), schema_field,
          schema_field + ".pattern: character 4: references to groups and octal numbers are not understood");
  refused(with_schema({{"type", "number"}, {"multipleOf", 0}}), schema_field,
          schema_field + ".multipleOf: expected a number above 0");
  refused(with_schema("{"), schema_field, "expected JSON");
  refused(with_schema(""), schema_field, "a JSON Schema, got an empty text");
  expect_chat_refused({{"grammar", "root"}}, "grammar", "grammar: line 1: expected NAME ::=");
  expect_chat_refused({{"json_schema", {{"not", 1}}}}, "json_schema", "json_schema.not: not understood");
  expect_chat_refused({{"grammar", "root ::= \"a\""}, {"response_format", {{"type", "json_object"}}}},
                      "response_format.type", "\"text\" beside grammar");
  expect_chat_refused({{"grammar", "root ::= \"a\""}, {"json_schema", json::object()}}, "grammar",
                      "expected none beside");
}

TEST_F(GenerationRequestTest, WhatIsNamedLikeAFieldIsNotTakenForOne) {
  const std::string schema_field = "response_format.json_schema.schema";
  const auto format_of = [](const json& schema) {
    return json{{"type", "json_schema"}, {"json_schema", {{"name", "x"}, {"schema", schema}}}};
  };
  for (const std::string name : {"stop", "seed", "top_p", "grammar"}) {
    const json schema = {{"type", "object"},
                         {"properties", {{name, {{"format", "uri"}, {"type", "string"}}}}}};
    expect_chat_refused({{"response_format", format_of(schema)}}, schema_field,
                        name + ".format: expected one of");
    expect_chat_refused({{"json_schema", schema}}, "json_schema", name + ".format: expected one of");
    expect_chat_refused({{"grammar", "root ::= " + name + ": x"}}, "grammar", "grammar: line 1: expected");
  }
  // What only the compiled schema shows.
  expect_chat_refused({{"response_format", format_of({{"$ref", "#"}})}}, schema_field,
                      schema_field + ": expected a rule");
  expect_chat_refused({{"json_schema", {{"$ref", "#"}}}}, "json_schema", "json_schema: expected a rule");
}

TEST_F(GenerationRequestTest, TextsAndNumbersAreHeldToTheirPatternFormatAndBounds) {
  const std::string schema =
      R"({"type":"object","properties":{"code":{"type":"string","pattern":"^[A-Z]{3}-\\d{2}$"},)"
      R"("day":{"type":"string","format":"date"},"size":{"type":"number","exclusiveMinimum":-0.5,"maximum":2.5},)"
      R"("seats":{"type":"integer","minimum":1,"maximum":90,"multipleOf":5}},)"
      R"("required":["code","day","size","seats"],"additionalProperties":false})";
  static const std::regex kCode("[A-Z]{3}-[0-9]{2}");
  static const std::regex kDay("[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])");
  for (const int seed : {1, 2, 3, 4}) {
    const ApiReply reply =
        post("/v1/chat/completions",
             R"({"messages":[{"role":"user","content":"x"}],"temperature":1.5,"max_tokens":120,"seed":)" +
                 std::to_string(seed) + R"(,"response_format":{"type":"json_schema","json_schema":)" +
                 R"({"name":"trip","schema":)" + schema + "}}}");
    ASSERT_EQ(reply.status, 200) << reply.body;
    const json choice = json::parse(reply.body)["choices"][0];
    ASSERT_EQ(choice["finish_reason"], "stop");
    const std::string text = choice["message"]["content"];
    const json trip = json::parse(text);
    EXPECT_TRUE(std::regex_match(trip["code"].get<std::string>(), kCode)) << text;
    EXPECT_TRUE(std::regex_match(trip["day"].get<std::string>(), kDay)) << text;
    EXPECT_TRUE(trip["size"] > -0.5 && trip["size"] <= 2.5) << text;
    EXPECT_TRUE(trip["seats"] >= 5 && trip["seats"] <= 90 && trip["seats"].get<int>() % 5 == 0) << text;
  }
}

TEST_F(GenerationRequestTest, LevelsOfASchemaAreCountedFromTheBody) {
  const auto nested = [](int n_levels) {
    json schema = n_levels % 2 == 0 ? json{{"enum", json::array({1})}} : json{{"type", "null"}};
    for (int level = 2 - n_levels % 2; level < n_levels; level += 2)
      schema = {{"anyOf", json::array({std::move(schema)})}};
    return schema;
  };
  const auto format_of = [](json schema) {
    return json{{"type", "json_schema"}, {"json_schema", {{"name", "x"}, {"schema", std::move(schema)}}}};
  };
  const auto status = [this](const json& changes) {
    return post("/v1/chat/completions", chat(changes)).status;
  };
  EXPECT_EQ(status({{"response_format", format_of(nested(13))}}), 200);
  EXPECT_EQ(status({{"response_format", format_of(nested(14))}}), 400);
  EXPECT_EQ(status({{"json_schema", nested(15)}}), 200);
  EXPECT_EQ(status({{"json_schema", nested(16)}}), 400);
}

TEST_F(GenerationRequestTest, AnswersAreOfTheFormatThatWasAskedFor) {
  // In the order of the text, which is not that of the alphabet.
  const std::string schema =
      R"({"type":"object","properties":{"yes":{"type":"boolean"},"kind":{"enum":["cat","dog"]}},)"
      R"("required":["yes","kind"],"additionalProperties":false})";
  for (const int seed : {1, 2, 3}) {
    const ApiReply reply =
        post("/v1/chat/completions",
             R"({"messages":[{"role":"user","content":"x"}],"temperature":1.5,"max_tokens":60,"seed":)" +
                 std::to_string(seed) +
                 R"(,"response_format":{"type":"json_schema","json_schema":{"name":"pet",)" +
                 R"("strict":true,"schema":)" + schema + "}}}");
    ASSERT_EQ(reply.status, 200) << reply.body;
    const json choice = json::parse(reply.body)["choices"][0];
    ASSERT_EQ(choice["finish_reason"], "stop");
    const std::string text = choice["message"]["content"];
    EXPECT_TRUE(text.starts_with("{\"yes\"")) << text;
    const json pet = json::parse(text);
    EXPECT_TRUE(pet["yes"].is_boolean() && (pet["kind"] == "cat" || pet["kind"] == "dog")) << text;
  }
  const json text =
      answer("/v1/completions", {{"prompt", "x"}, {"grammar", "root ::= \"a\" | \"b\""}, {"n", 3}});
  for (const json& choice : text["choices"]) {
    EXPECT_TRUE(choice["text"] == "a" || choice["text"] == "b") << choice;
    EXPECT_EQ(choice["finish_reason"], "stop");
  }
  const json object = answer(
      "/v1/completions",
      {{"prompt", "x"}, {"seed", 1}, {"max_tokens", 5}, {"response_format", {{"type", "json_object"}}}});
  EXPECT_TRUE(object["choices"][0]["text"].get<std::string>().starts_with("{"));
}

TEST_F(GenerationRequestTest, PromptsAreTextsOrIds) {
  for (const json& prompt :
       {json("a"), json::array({5, 6}), json::array({"a", "b"}),
        json::array({json::array({5}), json::array({6, 7})}), json(""), json::array({"a", json::array({5})})})
    EXPECT_EQ(post("/v1/completions", completion({{"prompt", prompt}})).status, 200) << prompt;
  expect_completion_refused({{"prompt", nullptr}}, "prompt", "got none");
  expect_completion_refused({{"prompt", 5}}, "prompt", "a text or an array of token ids, got 5");
  expect_completion_refused({{"prompt", json::array()}}, "prompt", "at least one token");
  expect_completion_refused({{"prompt", {""}}, {"bos", false}}, "prompt", "at least one token");
  expect_completion_refused({{"prompt", json::array({5, -1})}}, "prompt",
                            "token ids from 0 to 32767, got -1");
  expect_completion_refused({{"prompt", json::array({5, 32768})}}, "prompt", "got 32768");
  expect_completion_refused({{"prompt", json::array({5, 1e300})}}, "prompt", "token ids");
  expect_completion_refused({{"prompt", json::array({5, "a"})}}, "prompt", "got \"a\"");
  expect_completion_refused({{"prompt", std::vector<std::string>(129, "a")}}, "prompt", "at most 128");
}

TEST_F(GenerationRequestTest, APromptLongerThanTheContextIsRefusedOrCut) {
  const std::vector<int32_t> prompt(600, 11);
  expect_completion_refused({{"prompt", prompt}}, "prompt",
                            "at most 512 tokens, the context of the model, got 600");
  const ApiReply refused = post("/v1/completions", completion({{"prompt", prompt}}));
  EXPECT_EQ(json::parse(refused.body)["error"]["code"], "context_length_exceeded");
  const json cut = json::parse(
      post("/v1/completions", completion({{"prompt", prompt}, {"overflow", "truncate-left"}})).body);
  // The one token of the answer is not read again, so it needs no room.
  EXPECT_EQ(cut["usage"]["prompt_tokens"], 512);
  json many = json::array();
  for (int idx = 0; idx < 300; ++idx) many.push_back({{"role", "user"}, {"content", "more"}});
  expect_chat_refused({{"messages", many}}, "messages", "at most 512 tokens");
  EXPECT_EQ(post("/v1/chat/completions", chat({{"messages", many}, {"overflow", "trim-turns"}})).status, 200);
}

TEST_F(GenerationRequestTest, UnknownFieldsAreListedOrRefused) {
  const json unknown = {{"tools", json::array()}, {"store", true}, {"user", "me"}};
  EXPECT_EQ(header(post("/v1/completions", completion(unknown)), "X-Lille-Ignored-Fields"), "store, tools");
  EXPECT_EQ(header(post("/v1/chat/completions", chat(unknown)), "X-Lille-Ignored-Fields"), "store, tools");
  EXPECT_EQ(header(post("/v1/chat/completions",
                        chat({{"stream", true}, {"stream_options", {{"include_obfuscation", false}}}})),
                   "X-Lille-Ignored-Fields"),
            "stream_options.include_obfuscation");
  api_.reset();
  start({.strict = true});
  expect_completion_refused(unknown, "store", "unknown field");
  expect_chat_refused({{"stream", true}, {"stream_options", {{"x", false}}}}, "stream_options.x",
                      "unknown field");
}

TEST_F(GenerationRequestTest, WithoutBosAPromptIsWhatTheClientWrote) {
  EXPECT_EQ(answer("/v1/completions", {{"prompt", "x"}, {"max_tokens", 0}})["usage"]["prompt_tokens"], 2);
  EXPECT_EQ(answer("/v1/completions",
                   {{"prompt", "x"}, {"max_tokens", 0}, {"bos", false}})["usage"]["prompt_tokens"],
            1);
}

}  // namespace
}  // namespace lille
