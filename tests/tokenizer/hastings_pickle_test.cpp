#include <gtest/gtest.h>

#include <string>

#include "support.h"
#include "tokenizer/toy_files.h"
#include "tokenizer/vocabulary_files.h"

namespace lille {
namespace {

using test::pickle_bytes;
using test::pickle_int;
using test::pickle_str;
using test::with_change;

Vocabulary read(const std::string& text) { return read_hastings_pickle({text, "Hastings.pkl"}); }

void expect_bad(const std::string& text, std::string_view message, ErrorCode code = ErrorCode::kCorruptFile) {
  test::expect_error(code, message, [&] { read(text); });
  test::expect_error(code, "Hastings.pkl", [&] { read(text); });
}

TEST(HastingsPickle, ReadsTheToy) {
  const Vocabulary vocabulary = read(test::toy_pickle());
  EXPECT_EQ(vocabulary.n_tokens(), 264);
  EXPECT_EQ(vocabulary.find(" the"), 258);
  EXPECT_EQ(vocabulary.special_id(SpecialToken::kUser), 262);
}

TEST(HastingsPickle, WrongForm) {
  const std::string good = test::toy_pickle();
  expect_bad("\x80\x04K\x01.", "expected a dict, got an int");
  expect_bad("\x80\x04}.", "mergeable_ranks: expected a dict, got nothing");
  expect_bad(with_change(good, "mergeable_ranks", "mergeable_Ranks"),
             "mergeable_ranks: expected a dict, got nothing");
  expect_bad(with_change(good, "special_tokens", "special_Tokens"),
             "special_tokens: expected a dict, got nothing");
  expect_bad("\x80\x04}" + pickle_str("mergeable_ranks") + pickle_str("x") + "s.",
             "mergeable_ranks: expected a dict, got a str");
  expect_bad(with_change(good, pickle_bytes("he"), pickle_str("he")),
             "mergeable_ranks: expected bytes as a key, got a str");
  expect_bad(with_change(good, pickle_bytes("he") + pickle_int(257), pickle_bytes("he") + pickle_str("x")),
             "mergeable_ranks: token \"he\": expected an int, got a str");
  expect_bad(with_change(good, pickle_str("<|pad|>"), pickle_bytes("<|pad|>")),
             "special_tokens: expected a str as a key, got bytes");
}

TEST(HastingsPickle, EntriesThatAreWrong) {
  const std::string good = test::toy_pickle();
  const std::string he = pickle_bytes("he") + pickle_int(257);
  expect_bad(with_change(good, he, pickle_bytes("he") + pickle_int(256)),
             "tokens \" t\" and \"he\": expected different ids");
  expect_bad(with_change(good, he, pickle_bytes("he") + pickle_int(300)),
             "without a gap for 264 tokens, got 300");
  expect_bad(with_change(good, he, pickle_bytes("he") + "J\xff\xff\xff\xff"),
             "expected an id from 0 to 65535, got -1");
  expect_bad(with_change(good, he, pickle_bytes(" t") + pickle_int(257)), "token \" t\": expected once");
  expect_bad(with_change(good, he, pickle_bytes("<|pad|>") + pickle_int(257)),
             "token <|pad|>: expected a special token only");
  expect_bad(with_change(good, pickle_str("<|pad|>"), pickle_str("<|PAD|>")), "special token \"<|PAD|>\"",
             ErrorCode::kUnsupported);
  expect_bad(with_change(good, pickle_str("<|pad|>") + pickle_int(259), ""), "found no <|pad|>");
}

}  // namespace
}  // namespace lille
