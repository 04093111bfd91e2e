#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lille/tokenizer.h"
#include "support.h"
#include "tokenizer/toy_files.h"
#include "tokenizer/vocabulary_files.h"

namespace lille {
namespace {

using test::with_change;

Vocabulary read(const std::string& vocab, const std::string& merges) {
  return read_vocab_and_merges({vocab, "vocab.json"}, {merges, "merges.txt"});
}

void expect_bad_vocab(const std::string& vocab, std::string_view message) {
  test::expect_error(ErrorCode::kCorruptFile, message, [&] { read(vocab, test::toy_merges_txt()); });
  test::expect_error(ErrorCode::kCorruptFile, "vocab.json", [&] { read(vocab, test::toy_merges_txt()); });
}

void expect_bad_merges(const std::string& merges, std::string_view message) {
  test::expect_error(ErrorCode::kCorruptFile, message, [&] { read(test::toy_vocab_json(), merges); });
  test::expect_error(ErrorCode::kCorruptFile, "merges.txt", [&] { read(test::toy_vocab_json(), merges); });
}

TEST(VocabAndMerges, ReadsTheToy) {
  const Vocabulary vocabulary = read(test::toy_vocab_json(), test::toy_merges_txt());
  EXPECT_EQ(vocabulary.n_tokens(), 264);
  EXPECT_EQ(vocabulary.find(" the"), 258);
  EXPECT_EQ(vocabulary.special_id(SpecialToken::kStartOfText), 263);
  EXPECT_EQ(read(test::toy_vocab_json(), "\u0120 t\nh e\n\u0120t he").n_tokens(), 264);
}

TEST(VocabAndMerges, VocabThatIsNoObjectOfIds) {
  expect_bad_vocab("", "expected JSON in UTF-8");
  expect_bad_vocab(" \n", "expected JSON in UTF-8");
  expect_bad_vocab("vocab", "expected JSON in UTF-8");
  expect_bad_vocab("{\"a\": 1} x", "expected JSON in UTF-8");
  expect_bad_vocab(std::string("{\"a\": 1\0}", 9), "expected JSON in UTF-8");
  expect_bad_vocab("{\"\xff\": 1}", "expected JSON in UTF-8");
  expect_bad_vocab("{\"\\ud800\": 1}", "expected JSON in UTF-8");
  expect_bad_vocab("[1]", "expected an object from tokens to ids, got an array");
  expect_bad_vocab("3", "expected an object from tokens to ids, got an integer");
  expect_bad_vocab("\"x\"", "got a string");
  expect_bad_vocab(std::string(100000, '['), "got an array");
  expect_bad_vocab("{\"a\": {\"b\": 1}}", "token \"a\": expected an integer id, got an object");
  expect_bad_vocab("{\"a\": [0]}", "token \"a\": expected an integer id, got an array");
  expect_bad_vocab("{\"a\": \"0\"}", "token \"a\": expected an integer id, got a string");
  expect_bad_vocab("{\"a\": null}", "got null");
  expect_bad_vocab("{\"a\": true}", "got a boolean");
  expect_bad_vocab("{\"a\": 1.0}", "no 64-bit integer");
  expect_bad_vocab("{\"a\": 18446744073709551615}", "no 64-bit integer");
  expect_bad_vocab("{\"a\": 99999999999999999999999}", "no 64-bit integer");
  expect_bad_vocab("{\"a\": 1e999}", "a number that is too large");
}

TEST(VocabAndMerges, VocabCutOffAnywhere) {
  const std::string vocab = test::toy_vocab_json();
  for (std::size_t n_bytes = 0; n_bytes < vocab.size(); ++n_bytes)
    expect_bad_vocab(vocab.substr(0, n_bytes), "expected JSON in UTF-8");
}

TEST(VocabAndMerges, IdsThatAreNotDenseAndUnique) {
  const std::string vocab = test::toy_vocab_json();
  expect_bad_vocab(with_change(vocab, "\"he\": 257", "\"he\": -1"),
                   "token \"he\": expected an id from 0 to 65535, got -1");
  expect_bad_vocab(with_change(vocab, "\"he\": 257", "\"he\": 65536"),
                   "token \"he\": expected an id from 0 to 65535, got 65536");
  expect_bad_vocab(with_change(vocab, "\"he\": 257", "\"he\": 9223372036854775807"),
                   "got 9223372036854775807");
  expect_bad_vocab(with_change(vocab, "\"he\": 257", "\"he\": 300"),
                   "token \"he\": expected ids 0 to 263 without a gap for 264 tokens, got 300");
  expect_bad_vocab(with_change(vocab, "\"he\": 257", "\"he\": 256"),
                   "tokens \" t\" and \"he\": expected different ids, got 256 for both");
  expect_bad_vocab(with_change(vocab, "\"he\": 257", "\"\u0120t\": 257"),
                   "token \" t\": expected once, got ids 256 and 257");
  expect_bad_vocab(with_change(vocab, "<|pad|>\": 259", "<|pad|>\": 257"), "tokens \"he\" and \"<|pad|>\"");
  expect_bad_vocab(with_change(vocab, "\"<|user|>\"", "\"<|pad|>\""),
                   "special token <|pad|>: expected one id, got 259 and 262");
}

TEST(VocabAndMerges, TokensThatAreWrong) {
  const std::string vocab = test::toy_vocab_json();
  expect_bad_vocab(with_change(vocab, "\"a\": 64", "\"zz\": 64"),
                   "expected a token for each of the 256 bytes, found none for \"a\"");
  expect_bad_vocab(with_change(vocab, "\"he\"", "\"\u6f22\""),
                   "token \"\u6f22\" with id 257: expected characters of GPT-2's byte alphabet");
  expect_bad_vocab(with_change(vocab, "\"he\"", "\"h e\""), "token \"h e\" with id 257");
  expect_bad_vocab(with_change(vocab, "\"he\"", "\"\""),
                   "token \"\" with id 257: expected 1 to 4096 bytes, got 0");
  expect_bad_vocab(with_change(vocab, "\"he\"", "\"" + std::string(5000, 'h') + "\""), "got 5000");
  expect_bad_vocab(with_change(vocab, "<|user|>", "<|User|>"), "found no <|user|>");
  expect_bad_vocab("{\"a\": 0}", "found no <|pad|>, <|endoftext|>, <|assistant|>, <|user|>, <|startoftext|>");
  expect_bad_vocab("{}", "found no <|pad|>");
}

TEST(VocabAndMerges, MergesThatDisagreeWithTheVocabulary) {
  expect_bad_merges("", "expected 3 merges for 259 mergeable tokens, got 0");
  expect_bad_merges("#version: 0.2\n\u0120 t\nh e\n", "expected 3 merges for 259 mergeable tokens, got 2");
  expect_bad_merges("\u0120 t\nh e\n\u0120t he\nh e\n",
                    "merge 4 \"h e\": expected to make token 259, got 257");
  expect_bad_merges("h e\n\u0120 t\n\u0120t he\n", "merge 1 \"h e\": expected to make token 256, got 257");
  expect_bad_merges("\u0120 t\nq q\n", "merge 2 \"q q\": expected a token in the vocabulary, it makes none");
  expect_bad_merges("\u0120 t\nhx e\n", "merge 2: expected tokens of the vocabulary, got \"hx\"");
  expect_bad_merges("\u0120 t\nh \u6f22\n", "merge 2: expected tokens of the vocabulary, got \"\u6f22\"");
  expect_bad_merges("\u0120 t\nh \xff\n", "merge 2: expected tokens of the vocabulary, got \"\\xff\"");
  expect_bad_merges("\u0120 t\nh\n", "merge 2 \"h\": expected two tokens with a space between them");
  expect_bad_merges("\u0120 t\nh e x\n", "merge 2 \"h e x\": expected two tokens");
  expect_bad_merges("\u0120 t\n\nh e\n", "merge 2 \"\": expected two tokens");
  expect_bad_merges("\u0120 t\r\n", "merge 1: expected tokens of the vocabulary, got \"t\\x0d\"");
  expect_bad_merges(" t\n", "merge 1: expected tokens of the vocabulary, got \"\"");
  expect_bad_merges(std::string(1000000, ' '), "merge 1");
}

TEST(VocabAndMerges, MissingFilesAreNamed) {
  const test::TemporaryFolder folder;
  folder.write("vocab.json", test::toy_vocab_json());
  test::expect_error(ErrorCode::kNotFound, "merges.txt", [&] {
    Tokenizer::from_vocab_and_merges(folder.path() / "vocab.json", folder.path() / "merges.txt");
  });
}

}  // namespace
}  // namespace lille
