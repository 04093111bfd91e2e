#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "generate/schema_validator.h"
#include "lille/batch.h"
#include "lille/generate.h"
#include "lille/grammar.h"
#include "model/golden.h"
#include "support.h"

namespace lille {
namespace {

const Tokenizer& grammar_tokenizer() {
  static const Tokenizer tokenizer = Tokenizer::load(test::source_path("models/lille-tiny-8bit"));
  return tokenizer;
}

std::vector<float> masked(LogitsProcessor& processor, const std::vector<int32_t>& tokens) {
  std::vector<float> logits(static_cast<std::size_t>(grammar_tokenizer().vocab_size()));
  processor.process(tokens, logits);
  return logits;
}

std::vector<int32_t> allowed(const std::vector<float>& logits) {
  std::vector<int32_t> ids;
  for (std::size_t id = 0; id < logits.size(); ++id)
    if (logits[id] == 0) ids.push_back(static_cast<int32_t>(id));
  return ids;
}

int32_t token(std::string_view text) { return grammar_tokenizer().encode_piece(text).at(0); }

TEST(GrammarProcessor, LooksAtTheAnswerAlone) {
  const auto processor = make_grammar_processor(Grammar::parse("root ::= \"a\" \"b\""), grammar_tokenizer());
  const std::vector<int32_t> prompt = {grammar_tokenizer().bos_token_id(), token("b"),
                                       grammar_tokenizer().eos_token_id()};
  std::vector<int32_t> tokens = prompt;
  EXPECT_EQ(allowed(masked(*processor, tokens)), std::vector<int32_t>({token("a"), token("ab")}));
  tokens.push_back(token("a"));
  EXPECT_EQ(allowed(masked(*processor, tokens)), std::vector<int32_t>({token("b")}));
  tokens.push_back(token("b"));
  const std::vector<int32_t> end = {grammar_tokenizer().eos_token_id()};
  EXPECT_EQ(allowed(masked(*processor, tokens)), end);
  // Who goes on after the end finds the end again.
  tokens.push_back(end[0]);
  EXPECT_EQ(allowed(masked(*processor, tokens)), end);
}

TEST(GrammarProcessor, RollbackAndCloneKeepTheirOwnState) {
  const auto processor =
      make_grammar_processor(Grammar::parse("root ::= \"a\" \"b\" \"c\""), grammar_tokenizer());
  std::vector<int32_t> tokens = {1, 2};
  masked(*processor, tokens);
  tokens.push_back(token("a"));
  tokens.push_back(token("b"));
  const std::vector<float> before_c = masked(*processor, tokens);
  const auto copy = processor->clone();
  processor->rollback(3);
  tokens.resize(3);
  EXPECT_EQ(allowed(masked(*processor, tokens)), std::vector<int32_t>({token("b"), token("bc")}));
  // Before the answer: the next prompt is another one.
  processor->rollback(1);
  EXPECT_EQ(allowed(masked(*processor, {7})), std::vector<int32_t>({token("a"), token("ab")}));
  EXPECT_EQ(allowed(masked(*processor, {7, token("a")})), std::vector<int32_t>({token("b"), token("bc")}));
  tokens.push_back(token("b"));
  EXPECT_EQ(masked(*copy, tokens), before_c);
}

TEST(GrammarProcessor, RefusesTokensThatItHadExcluded) {
  const auto processor = make_grammar_processor(Grammar::parse("root ::= \"a\""), grammar_tokenizer());
  masked(*processor, {1});
  for (const int32_t bad :
       {token("b"), grammar_tokenizer().eos_token_id(), grammar_tokenizer().user_token_id()})
    test::expect_error(ErrorCode::kInvalidArgument, "expected a token that the grammar allows, got", [&] {
      masked(*processor, {1, bad});
    });
  EXPECT_EQ(allowed(masked(*processor, {1, token("a")})).size(), 1u);
  std::vector<float> few(3);
  test::expect_error(ErrorCode::kInvalidShape, "[grammar] logits: expected (32768), got (3)",
                     [&] { processor->process(std::vector<int32_t>{1}, few); });
}

// Each character leads to states of its own, so that the tables fill up several times.
TEST(GrammarProcessor, GoesOnWhenItsTablesAreFull) {
  const Grammar grammar = Grammar::parse("root ::= .{1,10000}");
  const auto processor = make_grammar_processor(grammar, grammar_tokenizer());
  const int32_t line = token(std::string(16, '-'));
  const std::size_t n_bytes = grammar_tokenizer().token_bytes(line).size();
  std::vector<int32_t> tokens = {1};
  while (tokens.size() * n_bytes < 9'800) {
    ASSERT_EQ(masked(*processor, tokens)[static_cast<std::size_t>(line)], 0);
    tokens.insert(tokens.end(), 4, line);
  }
  const auto fresh = make_grammar_processor(grammar, grammar_tokenizer());
  masked(*fresh, {1});
  EXPECT_EQ(masked(*fresh, tokens), masked(*processor, tokens));
}

TEST(GrammarProcessor, RefusesATextWithTooManyReadings) {
  const auto processor = make_grammar_processor(
      Grammar::parse("root ::= \"a\" root | \"a\" | \"a\" root \"b\""), grammar_tokenizer());
  std::vector<int32_t> tokens = {1};
  test::expect_error(ErrorCode::kInvalidArgument, "[grammar] the text has more readings than 1000000 steps",
                     [&] {
                       for (int n_steps = 0; n_steps < 100; ++n_steps) {
                         masked(*processor, tokens);
                         tokens.insert(tokens.end(), 50, token("a"));
                       }
                     });
}

const char* const kSchemas[] = {
    R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":120},
        "tags":{"type":"array","items":{"type":"string","maxLength":5},"maxItems":3}},
        "required":["name","age","tags"],"additionalProperties":false})",
    R"({"type":"object","properties":{"a":{"type":["number","null"]},"b":{"enum":["x","yy",3]},"c":{"type":"boolean"}},
        "required":["b"],"additionalProperties":false})",
    R"({"type":"array","minItems":2,"maxItems":4,"items":{"anyOf":[{"type":"integer"},{"const":{"k":[1,"v"]}}]}})",
    R"({"$ref":"#/$defs/tree","$defs":{"tree":{"type":"object","properties":{"v":{"type":"integer"},
        "kids":{"type":"array","items":{"$ref":"#/$defs/tree"},"maxItems":2}},"required":["v","kids"],
        "additionalProperties":false}}})",
    R"({"type":"object"})",
    R"({"type":"string","minLength":3,"maxLength":8,"description":"short"})",
    R"({"type":"number"})",
    R"({"type":"object","properties":{"id":{"type":"string","pattern":"^[A-Z]{2}-\\d{3,5}$"},
        "when":{"type":"string","format":"date-time"},"price":{"type":"number","minimum":0,"exclusiveMaximum":100,"multipleOf":0.01},
        "seats":{"type":"integer","minimum":-7.5,"maximum":1e3,"multipleOf":5}},
        "required":["id","when","price","seats"],"additionalProperties":false})",
    R"({"type":"array","minItems":1,"maxItems":9,"items":{"anyOf":[{"type":"string","format":"ipv6"},
        {"type":"string","format":"hostname","maxLength":12},{"type":"string","format":"email","maxLength":20},
        {"type":"string","format":"uuid"},{"type":"string","format":"ipv4"},{"type":"string","format":"duration"},
        {"type":"string","format":"time"},{"type":"string","format":"date","pattern":"^20"}]}})",
    R"({"type":"string","pattern":"[\"\\\\\n].*[aeiou]","minLength":4,"maxLength":12})",
    R"({"type":"number","exclusiveMinimum":-0.5,"maximum":12.25})",
};

// Draws as a model without any sense would: any token that is left, most often a short one.
std::optional<std::string> random_answer(const Grammar& grammar, uint32_t seed, std::size_t max_tokens) {
  const auto processor = make_grammar_processor(grammar, grammar_tokenizer());
  std::mt19937 random(seed);
  std::vector<int32_t> tokens = {1};
  while (tokens.size() < max_tokens) {
    std::vector<int32_t> ids = allowed(masked(*processor, tokens));
    if (random() % 4 != 0) {
      const auto is_long = [](int32_t id) { return grammar_tokenizer().token_bytes(id).size() > 1; };
      if (!std::ranges::all_of(ids, is_long)) std::erase_if(ids, is_long);
    }
    const int32_t drawn = ids[random() % ids.size()];
    if (drawn == grammar_tokenizer().eos_token_id() ||
        (ids.size() > 1 && ids.back() == grammar_tokenizer().eos_token_id() && random() % 2 == 0))
      return grammar_tokenizer().decode(std::span(tokens).subspan(1));
    tokens.push_back(drawn);
  }
  EXPECT_TRUE(grammar.accepts_prefix(grammar_tokenizer().decode(std::span(tokens).subspan(1))));
  return std::nullopt;
}

TEST(GrammarProcessor, WhatIsDrawnAtRandomFulfilsTheSchema) {
  int n_whole = 0;
  for (const char* schema : kSchemas) {
    const Grammar grammar = Grammar::from_json_schema(schema);
    const test::SchemaValidator validator(schema);
    for (uint32_t seed = 0; seed < 12; ++seed) {
      const std::optional<std::string> text = random_answer(grammar, seed, 120);
      if (!text) continue;
      ++n_whole;
      ASSERT_TRUE(nlohmann::json::accept(*text)) << *text;
      EXPECT_TRUE(validator.fulfils(nlohmann::json::parse(*text))) << schema << "\n" << *text;
    }
  }
  EXPECT_GT(n_whole, 30);
}

TEST(SchemaValidator, TellsDocumentsApart) {
  const test::SchemaValidator validator(kSchemas[0]);
  using nlohmann::json;
  EXPECT_TRUE(validator.fulfils(json::parse(R"({"name":"","age":120,"tags":["\u20ac1234"]})")));
  for (const char* text :
       {R"({"name":"","age":121,"tags":[]})", R"({"name":"","age":1})", R"({"name":1,"age":1,"tags":[]})",
        R"({"name":"","age":1,"tags":["123456"]})", R"({"name":"","age":1,"tags":[],"x":1})", "[]"})
    EXPECT_FALSE(validator.fulfils(json::parse(text))) << text;
  const test::SchemaValidator ticket(kSchemas[7]);
  EXPECT_TRUE(ticket.fulfils(
      json::parse(R"({"id":"AB-123","when":"2024-02-29T12:00:00Z","price":99.99,"seats":-5})")));
  for (const char* text : {R"({"id":"AB-12","when":"2024-02-29T12:00:00Z","price":0,"seats":0})",
                           R"({"id":"AB-123","when":"2023-02-29T12:00:00Z","price":0,"seats":0})",
                           R"({"id":"AB-123","when":"2024-02-29T12:00:00Z","price":100,"seats":0})",
                           R"({"id":"AB-123","when":"2024-02-29T12:00:00Z","price":0.001,"seats":0})",
                           R"({"id":"AB-123","when":"2024-02-29T12:00:00Z","price":0,"seats":-10})",
                           R"({"id":"AB-123","when":"2024-02-29T12:00:00Z","price":0,"seats":3})"})
    EXPECT_FALSE(ticket.fulfils(json::parse(text))) << text;
}

class GrammarAnswers : public ::testing::Test {
 protected:
  Model model_ = test::load_model(test::source_path("models/lille-tiny-8bit"));
  Session session_{model_, {1, ""}};
  std::vector<int32_t> prompt_ = grammar_tokenizer().encode("A list of animals:");

  StreamOptions options(const Grammar& grammar, uint64_t seed) const {
    StreamOptions options;
    options.sampler = make_sampler({.temperature = 1.5F}, grammar_tokenizer().vocab_size());
    options.seed = seed;
    options.max_tokens = 40;
    options.logits_processors.add(make_grammar_processor(grammar, grammar_tokenizer()));
    return options;
  }

  WholeAnswer answer(StreamOptions options) {
    StreamGenerate stream(session_, grammar_tokenizer(), prompt_, std::move(options));
    WholeAnswer whole;
    while (std::optional<GenerationResponse> response = stream.next()) whole.add(std::move(*response));
    return whole;
  }
};

// Of each pass the drafter guesses an answer that the grammar allows only in part.
class Stubborn : public Drafter {
 public:
  std::vector<int32_t> draft(const DraftRequest& request) override {
    std::vector<int32_t> guesses = grammar_tokenizer().encode("{\"a\": \"the end");
    guesses.resize(std::min(guesses.size(), static_cast<std::size_t>(request.n_tokens)));
    return guesses;
  }
};

TEST_F(GrammarAnswers, OfAModelFulfilTheSchemaOrAreItsBeginning) {
  for (const char* schema : {kSchemas[0], kSchemas[1], kSchemas[4]}) {
    const Grammar grammar = Grammar::from_json_schema(schema);
    const test::SchemaValidator validator(schema);
    for (uint64_t seed = 0; seed < 3; ++seed) {
      const WholeAnswer whole = answer(options(grammar, seed));
      EXPECT_TRUE(grammar.accepts_prefix(whole.text)) << whole.text;
      if (whole.last.finish_reason == FinishReason::kLength) continue;
      ASSERT_TRUE(nlohmann::json::accept(whole.text)) << whole.text;
      EXPECT_TRUE(validator.fulfils(nlohmann::json::parse(whole.text))) << whole.text;
    }
  }
}

TEST_F(GrammarAnswers, AreTheSameInABatchAndWithADraft) {
  const Grammar grammar = Grammar::from_json_schema(kSchemas[1]);
  std::vector<BatchPrompt> prompts;
  std::vector<std::string> alone;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    prompts.push_back({prompt_, options(grammar, seed)});
    alone.push_back(answer(options(grammar, seed)).text);
    Stubborn drafter;
    StreamOptions drafted = options(grammar, seed);
    drafted.drafter = &drafter;
    drafted.adaptive_draft = false;
    const WholeAnswer whole = answer(std::move(drafted));
    EXPECT_EQ(whole.text, alone.back());
    EXPECT_GT(whole.last.draft.n_drafted, 0);
  }
  const std::vector<BatchResult> together = batch_generate(session_, grammar_tokenizer(), prompts);
  for (std::size_t idx = 0; idx < alone.size(); ++idx) EXPECT_EQ(together[idx].answer.text, alone[idx]);
}

TEST_F(GrammarAnswers, EndWhereTheTextIsComplete) {
  const WholeAnswer whole = answer(options(Grammar::parse("root ::= \"cat\" | \"dog\""), 1));
  EXPECT_TRUE(whole.text == "cat" || whole.text == "dog") << whole.text;
  EXPECT_EQ(whole.last.finish_reason, FinishReason::kStop);
}

}  // namespace
}  // namespace lille
