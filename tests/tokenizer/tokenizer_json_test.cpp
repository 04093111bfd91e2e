#include <gtest/gtest.h>

#include <string>

#include "support.h"
#include "tokenizer/toy_files.h"
#include "tokenizer/vocabulary_files.h"

namespace lille {
namespace {

using test::with_change;

Vocabulary read_json(const std::string& text) { return read_tokenizer_json({text, "tokenizer.json"}); }

void expect_bad_json(const std::string& text, std::string_view message,
                     ErrorCode code = ErrorCode::kCorruptFile) {
  test::expect_error(code, message, [&] { read_json(text); });
  test::expect_error(code, "tokenizer.json", [&] { read_json(text); });
}

TEST(TokenizerJson, ReadsTheToy) {
  const Vocabulary vocabulary = read_json(test::toy_tokenizer_json());
  EXPECT_EQ(vocabulary.n_tokens(), 264);
  EXPECT_EQ(vocabulary.find(" the"), 258);
  EXPECT_EQ(vocabulary.special_id(SpecialToken::kPad), 259);
}

TEST(TokenizerJson, ReadsMergesAsLinesAndSpecialTokensInTheVocabulary) {
  const std::string lines =
      with_change(test::toy_tokenizer_json(), "[[\"\u0120\", \"t\"], [\"h\", \"e\"], [\"\u0120t\", \"he\"]]",
                  "[\"\u0120 t\", \"h e\", \"\u0120t he\"]");
  EXPECT_EQ(read_json(lines).find(" the"), 258);
  EXPECT_EQ(read_json(with_change(lines, "\"he\": 257", "\"<|pad|>\": 259, \"he\": 257")).n_tokens(), 264);
}

TEST(TokenizerJson, ATokenMayBeCalledLikeAnArray) {
  std::string text = with_change(test::toy_tokenizer_json(), "\"he\": 257", "\"[]\": 257");
  text = with_change(text, "[\"h\", \"e\"]", "[\"[\", \"]\"]");
  text = with_change(text, "[\"\u0120t\", \"he\"]", "[\"\u0120t\", \"h\"]");
  EXPECT_EQ(read_json(with_change(text, "\u0120the", "\u0120th")).find("[]"), 257);
}

TEST(TokenizerJson, WrongForm) {
  const std::string good = test::toy_tokenizer_json();
  expect_bad_json("", "expected JSON in UTF-8");
  expect_bad_json("[]", "the file: expected an object, got an array");
  expect_bad_json("7", "the file: expected an object, got an integer");
  expect_bad_json("{}", "model.vocab: expected an object from tokens to ids, got none");
  expect_bad_json("{\"a\": " + std::string(100000, '['), "expected at most 64 nested levels");
  expect_bad_json(with_change(good, "\"vocab\"", "\"Vocab\""),
                  "model.vocab: expected an object from tokens to ids, got none");
  expect_bad_json(with_change(good, "\"merges\"", "\"Merges\""), "model.merges: expected an array, got none");
  expect_bad_json("{\"model\": {\"vocab\": []}}", "model.vocab: expected an object, got an array");
  expect_bad_json("{\"model\": {\"vocab\": 1}}", "model.vocab: expected an object, got an integer");
  expect_bad_json("{\"model\": {\"merges\": {}}}", "model.merges: expected an array, got an object");
  expect_bad_json("{\"model\": {\"merges\": null}}", "model.merges: expected an array, got null");
  expect_bad_json("{\"model\": {\"vocab\": {\"a\": []}}}",
                  "model.vocab \"a\": expected an integer id, got an array");
  expect_bad_json("{\"model\": {\"vocab\": {\"a\": \"b\"}}}",
                  "model.vocab \"a\": expected an integer, got a string");
  expect_bad_json("{\"model\": {\"vocab\": {\"\u6f22\": 1}}}",
                  "expected characters of GPT-2's byte alphabet");
  expect_bad_json("{\"model\": {\"vocab\": {\"a\": 1e999}}}", "a number that is too large");
}

TEST(TokenizerJson, CutOffAnywhere) {
  const std::string good = test::toy_tokenizer_json();
  for (std::size_t n_bytes = 0; n_bytes < good.size(); ++n_bytes)
    expect_bad_json(good.substr(0, n_bytes), "expected JSON in UTF-8");
}

TEST(TokenizerJson, OtherTokenizersAreRefused) {
  const std::string good = test::toy_tokenizer_json();
  expect_bad_json(with_change(good, "\"BPE\"", "\"Unigram\""), "model.type: expected BPE",
                  ErrorCode::kUnsupported);
  expect_bad_json(with_change(good, "\"ByteLevel\"", "\"Metaspace\""),
                  "pre_tokenizer.type: expected ByteLevel", ErrorCode::kUnsupported);
  expect_bad_json(with_change(good, "\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\"}"),
                  "normalizer: expected null", ErrorCode::kUnsupported);
  expect_bad_json(with_change(good, "<|user|>", "<|im_start|>"), "special token \"<|im_start|>\"",
                  ErrorCode::kUnsupported);
  expect_bad_json(with_change(good, "\"BPE\"", "3"), "type: expected a string, got an integer");
}

TEST(TokenizerJson, EntriesThatAreWrong) {
  const std::string good = test::toy_tokenizer_json();
  expect_bad_json(with_change(good, "\"he\": 257", "\"he\": 256"),
                  "expected different ids, got 256 for both");
  expect_bad_json(with_change(good, "\"he\": 257", "\"he\": 257, \"<|pad|>\": 264"),
                  "special token <|pad|>: expected one id");
  expect_bad_json(with_change(good, "\"id\": 259", "\"id\": \"259\""),
                  "added_tokens id: expected an integer, got a string");
  expect_bad_json(with_change(good, "\"id\": 259, ", ""),
                  "token \"<|pad|>\": expected an id from 0 to 65535, got -1");
  expect_bad_json(with_change(good, "\"content\": \"<|pad|>\"", "\"content\": 4"),
                  "added_tokens content: expected a string, got an integer");
  expect_bad_json(with_change(good, "[\"h\", \"e\"]", "[\"h\", \"e\", \"x\"]"),
                  "model.merges \"h e x\": expected two tokens, got 3");
  expect_bad_json(with_change(good, "[\"h\", \"e\"]", "[]"), "expected two tokens, got 0");
  expect_bad_json(with_change(good, "[\"h\", \"e\"]", "7"),
                  "model.merges: expected a string, got an integer");
  expect_bad_json(with_change(good, "[\"h\", \"e\"]", "[\"h\", null]"),
                  "model.merges: expected a string, got null");
  expect_bad_json(with_change(good, "[\"h\", \"e\"]", "[\"h\\n\", \"e\"]"), "got a line break");
  expect_bad_json(with_change(good, "[\"h\", \"e\"]", "[\"h\", \"q\"]"),
                  "model.merges: merge 2 \"h q\": expected a token in the vocabulary");
}

}  // namespace
}  // namespace lille
