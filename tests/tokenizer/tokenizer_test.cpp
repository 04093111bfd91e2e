#include "lille/tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <string>

#include "tokenizer/hastings.h"
#include "tokenizer/vectors.h"

namespace lille {
namespace {

using test::hastings;
using test::Ids;

/// The three forms of Hastings; the last two are in ../shared or in the embedded model's folder.
struct Form {
  const char* name;
  Tokenizer (*load)();
  bool needs_shared;
};

void PrintTo(const Form& form, std::ostream* stream) { *stream << form.name; }

const Form kForms[] = {
    {"Pickle", [] { return hastings(); }, false},
    {"VocabAndMerges", [] { return Tokenizer::load(test::source_path("models/lille-tiny-8bit")); }, false},
    {"SlowExport", [] { return Tokenizer::load(test::shared_path("hastings/hf_slow")); }, true},
    {"FastExport", [] { return Tokenizer::load(test::shared_path("hastings/hf_fast")); }, true},
    {"PickleFolder", [] { return Tokenizer::load(test::source_path("tests/golden/hastings")); }, false},
};

class EveryForm : public ::testing::TestWithParam<Form> {};

INSTANTIATE_TEST_SUITE_P(Hastings, EveryForm, ::testing::ValuesIn(kForms),
                         [](const auto& form) { return std::string(form.param.name); });

TEST_P(EveryForm, GivesTiktokensIds) {
  if (GetParam().needs_shared) LILLE_NEED_SHARED();
  const Tokenizer tokenizer = GetParam().load();
  EXPECT_EQ(test::tiktoken_vectors().text.size(), 377u);
  EXPECT_EQ(test::tiktoken_vectors().bytes.size(), 304u);
  for (const test::TextVector& vector : test::tiktoken_vectors().text) {
    EXPECT_EQ(tokenizer.encode(vector.text), vector.ordinary) << vector.text;
    EXPECT_EQ(tokenizer.encode(vector.text, {.parse_special = true}), vector.special) << vector.text;
    EXPECT_EQ(tokenizer.decode(vector.ordinary), vector.text);
    EXPECT_EQ(tokenizer.decode(vector.special), vector.text);
  }
  for (const test::BytesVector& vector : test::tiktoken_vectors().bytes) {
    EXPECT_EQ(tokenizer.encode_piece(vector.bytes), vector.ids);
    EXPECT_EQ(tokenizer.decode(vector.ids), vector.bytes);
  }
}

TEST_P(EveryForm, HasTheSameTokensAndSpecialIds) {
  if (GetParam().needs_shared) LILLE_NEED_SHARED();
  const Tokenizer tokenizer = GetParam().load();
  ASSERT_EQ(tokenizer.vocab_size(), 32768);
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    ASSERT_EQ(tokenizer.token_bytes(id), hastings().token_bytes(id)) << id;
    ASSERT_EQ(tokenizer.is_special(id), id >= 32763) << id;
  }
  // REFERENCE.md section 3.
  EXPECT_EQ(tokenizer.pad_token_id(), 32763);
  EXPECT_EQ(tokenizer.eos_token_id(), 32764);
  EXPECT_EQ(tokenizer.assistant_token_id(), 32765);
  EXPECT_EQ(tokenizer.user_token_id(), 32766);
  EXPECT_EQ(tokenizer.bos_token_id(), 32767);
  EXPECT_EQ(tokenizer.token_bytes(32765), "<|assistant|>");
}

TEST(Tokenizer, DecodesWhatItEncodedForEveryByteString) {
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes(random() % 200, '\0');
    const int alphabet = round % 3 == 0 ? 256 : round % 3 == 1 ? 4 : 128;
    for (char& byte : bytes)
      byte = static_cast<char>(static_cast<int>(random() % 256) % alphabet + (round % 3 == 1 ? 0xbe : 0));
    ASSERT_EQ(hastings().decode(hastings().encode(bytes)), bytes);
    ASSERT_EQ(hastings().decode(hastings().encode(bytes, {.parse_special = true})), bytes);
    ASSERT_EQ(hastings().decode(hastings().encode_piece(bytes)), bytes);
  }
}

/// The validation text as tiktoken encoded it: documents as <|startoftext|> text <|endoftext|>.
TEST(Tokenizer, GivesTiktokensIdsForTheValidationText) {
  LILLE_NEED_SHARED();
  const std::string file = test::read_file(test::shared_path("checkpoints/validation_ids.u16"));
  Ids ids;
  for (std::size_t pos = 0; pos + 1 < file.size(); pos += 2)
    ids.push_back(static_cast<unsigned char>(file[pos]) | static_cast<unsigned char>(file[pos + 1]) << 8);
  ASSERT_EQ(ids.size(), 113125u);
  EXPECT_EQ(hastings().encode(hastings().decode(ids), {.parse_special = true}), ids);
}

TEST(Tokenizer, AddsAPrefixSpaceToEachStretchOfTextWhenAsked) {
  const EncodeOptions prefix = {.parse_special = true, .add_prefix_space = true};
  EXPECT_EQ(hastings().encode("Hi", prefix), hastings().encode(" Hi"));
  EXPECT_EQ(hastings().encode(" Hi", prefix), hastings().encode(" Hi"));
  EXPECT_EQ(hastings().encode("\nHi", prefix), hastings().encode(" \nHi"));
  EXPECT_EQ(hastings().encode("", prefix), Ids{});
  // ../shared/hastings/README.md: `<|user|>Hi` becomes 32766 and the id of ` Hi`.
  EXPECT_EQ(hastings().encode("<|user|>Hi", prefix), (Ids{32766, hastings().encode(" Hi").at(0)}));
  EXPECT_EQ(hastings().encode("<|user|>Hi"), hastings().encode("<|user|>Hi", {.parse_special = false}));
  EXPECT_NE(hastings().encode("<|user|>Hi"), (Ids{32766, hastings().encode("Hi").at(0)}));
}

TEST(Tokenizer, RefusesIdsOutsideTheVocabulary) {
  for (const int32_t id : {-1, 32768, INT32_MAX, INT32_MIN}) {
    test::expect_error(ErrorCode::kInvalidArgument, std::to_string(id), [&] {
      hastings().decode(Ids{1, id});
    });
    test::expect_error(ErrorCode::kInvalidArgument, "0 to 32767", [&] { hastings().token_bytes(id); });
  }
}

TEST(Tokenizer, FolderWithoutATokenizerIsAnErrorThatNamesTheForms) {
  const test::TemporaryFolder folder;
  EXPECT_FALSE(Tokenizer::exists(folder.path()));
  EXPECT_FALSE(Tokenizer::exists(folder.path() / "missing"));
  test::expect_error(ErrorCode::kNotFound, "vocab.json and merges.txt, or tokenizer.json, or Hastings.pkl",
                     [&] { Tokenizer::load(folder.path()); });
  EXPECT_TRUE(Tokenizer::exists(test::source_path("tests/golden/hastings")));
}

}  // namespace
}  // namespace lille
