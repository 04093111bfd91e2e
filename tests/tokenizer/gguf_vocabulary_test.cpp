#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/gguf.h"
#include "lille/tokenizer.h"
#include "support.h"
#include "tokenizer/toy_files.h"
#include "tokenizer/vectors.h"

namespace lille {
namespace {

/// The toy tokenizer as metadata, to be spoiled.
class GgufVocabulary : public testing::Test {
 protected:
  GgufVocabulary() {
    const auto vocab = nlohmann::json::parse(test::toy_vocab_json());
    tokens_.resize(vocab.size());
    for (const auto& [token, id] : vocab.items()) tokens_[id.get<std::size_t>()] = token;
    for (std::size_t id = 0; id < tokens_.size(); ++id) types_.push_back(id < 259 ? 1 : 3);
    merges_ = {"\u0120 t", "h e", "\u0120t he"};
  }

  Tokenizer read() {
    std::vector<std::pair<std::string, GgufValue>> metadata = {
        {"tokenizer.ggml.model", std::string_view(model_)},
        {"tokenizer.ggml.pre", std::string_view(pre_)},
        {"tokenizer.ggml.tokens", GgufArray{GgufType::kString, {}, {tokens_.begin(), tokens_.end()}, {}}},
        {"tokenizer.ggml.token_type", GgufArray{GgufType::kI32, std::as_bytes(std::span(types_)), {}, {}}},
        {"tokenizer.ggml.merges", GgufArray{GgufType::kString, {}, {merges_.begin(), merges_.end()}, {}}}};
    std::erase_if(metadata, [this](const auto& entry) { return entry.first == dropped_; });
    for (auto& [key, value] : metadata)
      if (key == number_instead_) value = uint32_t{1};
    save_gguf(folder_.path() / "x.gguf", metadata, {});
    return Tokenizer::from_gguf(folder_.path() / "x.gguf");
  }

  void expect_fault(std::string_view message, ErrorCode code = ErrorCode::kCorruptFile) {
    test::expect_error(code, message, [this] { read(); });
    test::expect_error(code, "x.gguf: ", [this] { read(); });
  }

  test::TemporaryFolder folder_;
  std::string model_ = "gpt2";
  std::string pre_ = "gpt-2";
  std::vector<std::string> tokens_;
  std::vector<int32_t> types_;
  std::vector<std::string> merges_;
  std::string dropped_;
  std::string number_instead_;
};

TEST_F(GgufVocabulary, ReadsTheToy) {
  const Tokenizer tokenizer = read();
  EXPECT_EQ(tokenizer.vocab_size(), 264);
  EXPECT_EQ(tokenizer.token_bytes(258), " the");
  EXPECT_EQ(tokenizer.bos_token_id(), 263);
  EXPECT_EQ(tokenizer.encode(" the"), std::vector<int32_t>{258});
  EXPECT_EQ(Tokenizer::load(folder_.path() / "x.gguf").vocab_size(), 264);
  EXPECT_TRUE(Tokenizer::exists(folder_.path() / "x.gguf"));
}

TEST_F(GgufVocabulary, KeysThatAreMissingOrOfAnotherType) {
  for (const char* key : {"tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges"}) {
    dropped_ = key;
    expect_fault(std::string(key) + ": expected an array, got none");
    dropped_.clear();
    number_instead_ = key;
    expect_fault(std::string(key) + ": expected an array of ");
    number_instead_.clear();
  }
  number_instead_ = "tokenizer.ggml.model";
  expect_fault("tokenizer.ggml.model: expected a string, got a value of type u32");
  number_instead_.clear();
  for (const char* key : {"tokenizer.ggml.model", "tokenizer.ggml.pre"}) {
    dropped_ = key;
    EXPECT_EQ(read().vocab_size(), 264) << key;
  }
  dropped_ = "tokenizer.ggml.tokens";
  EXPECT_THROW(read(), Error);
  EXPECT_FALSE(Tokenizer::exists(folder_.path() / "x.gguf"));
}

TEST_F(GgufVocabulary, OtherTokenizers) {
  model_ = "llama";
  expect_fault("tokenizer.ggml.model: expected \"gpt2\", got \"llama\"", ErrorCode::kUnsupported);
  model_ = "gpt2";
  pre_ = "llama-bpe";
  expect_fault("tokenizer.ggml.pre: expected \"gpt-2\", got \"llama-bpe\"", ErrorCode::kUnsupported);
}

TEST_F(GgufVocabulary, ArraysThatDoNotFitTogether) {
  types_.pop_back();
  expect_fault("tokenizer.ggml.token_type: expected 264 types, one for each token, got 263");
  types_.push_back(3);
  tokens_.pop_back();
  types_.pop_back();
  expect_fault("found no <|startoftext|>");
  tokens_.emplace_back("<|startoftext|>");
  types_.push_back(1);
  expect_fault("token \"<|startoftext|>\" with id 263: expected the type 3, control, got 1");
  types_.back() = 4;
  EXPECT_EQ(read().bos_token_id(), 263) << "llama.cpp's user-defined";
  types_[5] = 6;
  expect_fault("with id 5: expected the type 1, normal, got 6");
}

TEST_F(GgufVocabulary, TokensAndMergesAreCheckedAsInOtherForms) {
  tokens_[258] = "the cat";
  expect_fault(
      "tokenizer.ggml.tokens: token \"the cat\" with id 258: expected characters of GPT-2's byte alphabet");
  tokens_[258] = "he";
  expect_fault("\"he\"");
  tokens_[258] = "\u0120the";
  merges_[2] = "\u0120 the";
  expect_fault("tokenizer.ggml.merges: merge 3");
  merges_[2] = "\u0120t\nhe";
  expect_fault("tokenizer.ggml.merges: ");
  merges_.pop_back();
  expect_fault("tokenizer.ggml.merges: expected 3 merges for 259 mergeable tokens, got 2");
}

}  // namespace
}  // namespace lille
