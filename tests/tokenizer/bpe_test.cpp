#include "tokenizer/bpe.h"

#include <gtest/gtest.h>

#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "tokenizer/hastings.h"
#include "tokenizer/vectors.h"
#include "tokenizer/vocabulary_files.h"

namespace lille {
namespace {

using test::Ids;

const Vocabulary& vocabulary() {
  static const Vocabulary hastings = [] {
    const std::string text = test::read_file(test::source_path("tests/golden/hastings/Hastings.pkl"));
    return read_hastings_pickle({text, "Hastings.pkl"});
  }();
  return hastings;
}

Ids fast(std::string_view piece) {
  Ids ids;
  append_bpe(ids, piece, vocabulary());
  return ids;
}

Ids reference(std::string_view piece) {
  Ids ids;
  append_bpe_reference(ids, piece, vocabulary());
  return ids;
}

std::string random_piece(std::mt19937& random, std::size_t n_bytes) {
  static const std::vector<std::string> alphabets = {"ab",  "etaoinshrdlu", "-",
                                                     "=-_", " \n",          "aA1 -\xc3\xa9\xcc\x81"};
  const std::size_t alphabet_idx = random() % (alphabets.size() + 1);
  std::string piece;
  while (piece.size() < n_bytes) {
    if (alphabet_idx < alphabets.size())
      piece += alphabets[alphabet_idx][random() % alphabets[alphabet_idx].size()];
    else
      piece += vocabulary().bytes(static_cast<int32_t>(random() % 32763));
  }
  piece.resize(n_bytes);
  return piece;
}

TEST(Bpe, ReferenceGivesTiktokensIds) {
  for (const test::BytesVector& vector : test::tiktoken_vectors().bytes)
    EXPECT_EQ(reference(vector.bytes), vector.ids);
}

TEST(Bpe, EqualsItsReferenceOnRandomPieces) {
  std::mt19937 random(1);
  for (int round = 0; round < 4000; ++round) {
    const std::string piece = random_piece(random, random() % 40);
    ASSERT_EQ(fast(piece), reference(piece));
  }
}

TEST(Bpe, EqualsItsReferenceAroundTheLengthWhereTheMethodChanges) {
  std::mt19937 random(2);
  for (std::size_t n_bytes = 120; n_bytes < 140; ++n_bytes)
    for (int round = 0; round < 20; ++round) {
      const std::string piece = random_piece(random, n_bytes);
      ASSERT_EQ(fast(piece), reference(piece)) << n_bytes;
    }
}

TEST(Bpe, EqualsItsReferenceOnLongPieces) {
  std::mt19937 random(3);
  for (int round = 0; round < 30; ++round) {
    const std::string piece = random_piece(random, 1000 + random() % 500);
    ASSERT_EQ(fast(piece), reference(piece));
  }
}

TEST(Bpe, EveryTokenIsItselfAndIsReachedByMerges) {
  for (int32_t id = 0; id < 32763; ++id) {
    const std::string bytes(vocabulary().bytes(id));
    ASSERT_EQ(fast(bytes), Ids{id});
    ASSERT_EQ(reference(bytes), Ids{id});
  }
}

TEST(Bpe, EmptyPieceHasNoIds) { EXPECT_TRUE(fast("").empty()); }

std::string repeated(std::string_view unit) {
  std::string text;
  while (text.size() < 1'000'000) text += unit;
  return text;
}

/// A megabyte that the split pattern leaves in one piece takes less than half a second of processor time.
TEST(Bpe, AMegabyteWithoutASplitTakesUnderHalfASecond) {
  std::mt19937 random(4);
  std::string random_word(1'000'000, '\0');
  for (char& letter : random_word) letter = static_cast<char>('a' + random() % 26);
  const std::vector<std::string> texts = {repeated("a"),          repeated(" "),      repeated("-"),
                                          repeated("^"),          repeated("\u0301"), repeated("\u6f22"),
                                          repeated("theandofin"), random_word};
  for (const std::string& text : texts) {
    const std::clock_t begin = std::clock();
    const Ids ids = test::hastings().encode(text);
    const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    EXPECT_EQ(test::hastings().decode(ids), text);
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LT(seconds, 0.5) << text.substr(0, 12);
#else
    EXPECT_LT(seconds, 20.0) << text.substr(0, 12);
#endif
  }
}

}  // namespace
}  // namespace lille
