#include "tokenizer/tokenizer_files.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support.h"
#include "tokenizer/hastings.h"
#include "tokenizer/toy_files.h"
#include "tokenizer/vectors.h"

namespace lille {
namespace {

using nlohmann::json;
using test::hastings;

json read_json(const std::filesystem::path& path) { return json::parse(test::read_file(path)); }

TEST(TokenizerFiles, EachFormReadsBackToTheSameIds) {
  const test::TemporaryFolder folder;
  hastings().save(folder.path());
  const Tokenizer forms[] = {
      Tokenizer::from_vocab_and_merges(folder.path() / "vocab.json", folder.path() / "merges.txt"),
      Tokenizer::from_tokenizer_json(folder.path() / "tokenizer.json"), Tokenizer::load(folder.path())};
  for (const Tokenizer& tokenizer : forms) {
    ASSERT_EQ(tokenizer.vocab_size(), hastings().vocab_size());
    for (int32_t id = 0; id < tokenizer.vocab_size(); ++id)
      ASSERT_EQ(tokenizer.token_bytes(id), hastings().token_bytes(id));
    for (const test::TextVector& vector : test::tiktoken_vectors().text) {
      EXPECT_EQ(tokenizer.encode(vector.text), vector.ordinary);
      EXPECT_EQ(tokenizer.encode(vector.text, {.parse_special = true}), vector.special);
    }
    for (const test::BytesVector& vector : test::tiktoken_vectors().bytes)
      EXPECT_EQ(tokenizer.encode_piece(vector.bytes), vector.ids);
  }
}

TEST(TokenizerFiles, WhatWasReadFromAnyFormIsWrittenAlike) {
  const test::TemporaryFolder from_pickle;
  hastings().save(from_pickle.path());
  const test::TemporaryFolder from_json;
  Tokenizer::from_tokenizer_json(from_pickle.path() / "tokenizer.json").save(from_json.path());
  for (const char* name :
       {"vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"})
    EXPECT_EQ(test::read_file(from_json.path() / name), test::read_file(from_pickle.path() / name)) << name;
}

TEST(TokenizerFiles, AreThoseOfTheAuthorsExport) {
  LILLE_NEED_SHARED();
  const test::TemporaryFolder folder;
  hastings().save(folder.path());
  for (const char* name : {"vocab.json", "merges.txt"})
    EXPECT_EQ(test::read_file(folder.path() / name),
              test::read_file(test::shared_path("hastings/hf_slow") / name))
        << name;
  const json written = read_json(folder.path() / "tokenizer.json");
  const json expected = read_json(test::shared_path("hastings/hf_fast/tokenizer.json"));
  // The author's file asks for a space before a text.
  for (const char* key : {"version", "truncation", "padding", "added_tokens", "normalizer"})
    EXPECT_EQ(written.at(key), expected.at(key)) << key;
  for (const char* key :
       {"type", "merges", "dropout", "unk_token", "byte_fallback", "ignore_merges", "fuse_unk"})
    EXPECT_TRUE(written.at("model").at(key) == expected.at("model").at(key)) << key;
  EXPECT_TRUE(written.at("model").at("vocab") == expected.at("model").at("vocab"));
  EXPECT_EQ(written.at("pre_tokenizer").at("type"), "ByteLevel");
  EXPECT_EQ(written.at("pre_tokenizer").at("add_prefix_space"), false);
}

TEST(TokenizerFiles, TheConfigNamesTokensAndTheChatForm) {
  const test::TemporaryFolder folder;
  hastings().save(folder.path(), {.model_max_length = 1024, .add_bos_token = false});
  const json config = read_json(folder.path() / "tokenizer_config.json");
  EXPECT_EQ(config.at("tokenizer_class"), "GPT2Tokenizer");
  EXPECT_EQ(config.at("model_max_length"), 1024);
  EXPECT_EQ(config.at("add_prefix_space"), false);
  EXPECT_EQ(config.at("add_bos_token"), false);
  EXPECT_EQ(config.at("bos_token"), "<|startoftext|>");
  EXPECT_EQ(config.at("eos_token"), "<|endoftext|>");
  EXPECT_EQ(config.at("pad_token"), "<|pad|>");
  EXPECT_EQ(config.at("additional_special_tokens"), json({"<|assistant|>", "<|user|>"}));
  EXPECT_EQ(config.at("added_tokens_decoder").at("32766").at("content"), "<|user|>");
  EXPECT_EQ(config.at("chat_template"),
            test::read_file(test::source_path("tests/golden/hastings/chat_template.jinja")));
  check_chat_template(folder.path());

  hastings().save(folder.path());
  EXPECT_FALSE(read_json(folder.path() / "tokenizer_config.json").contains("add_bos_token"));
}

TEST(TokenizerFiles, OfASmallVocabulary) {
  const test::TemporaryFolder folder;
  Tokenizer::from_pickle(folder.write("toy.pkl", test::toy_pickle())).save(folder.path());
  EXPECT_EQ(test::read_file(folder.path() / "merges.txt") + "\n", test::toy_merges_txt());
  EXPECT_EQ(Tokenizer::load(folder.path()).encode(" the"), (test::Ids{258}));
}

TEST(TokenizerFiles, AFolderThatIsMissing) {
  const test::TemporaryFolder folder;
  test::expect_error(ErrorCode::kNotFound, "none", [&] { hastings().save(folder.path() / "none"); });
}

}  // namespace
}  // namespace lille
