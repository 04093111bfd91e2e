#include "grammar/utf8_ranges.h"

#include <gtest/gtest.h>

#include <random>

#include "base/utf8.h"

namespace lille {
namespace {

bool matches(const ByteSequence& sequence, std::string_view bytes) {
  if (bytes.size() != sequence.n_bytes) return false;
  for (std::size_t idx = 0; idx < bytes.size(); ++idx) {
    const auto byte = static_cast<uint8_t>(bytes[idx]);
    if (byte < sequence.bytes[idx].first || byte > sequence.bytes[idx].last) return false;
  }
  return true;
}

TEST(Utf8Ranges, EncodesAsItIsDecoded) {
  for (uint32_t code_point = 0; code_point <= kMaxCodePoint; ++code_point) {
    if (code_point >= 0xd800 && code_point <= 0xdfff) continue;
    std::string text;
    append_utf8(text, code_point);
    ASSERT_EQ(first_utf8_symbol(text).code_point, code_point);
    ASSERT_EQ(first_utf8_symbol(text).n_bytes, text.size());
  }
}

void expect_exact(CharacterRange range) {
  const std::vector<ByteSequence> sequences = utf8_sequences(range);
  // A step that is prime to the lengths of all blocks, and everything near the ends.
  for (uint32_t code_point = 0; code_point <= kMaxCodePoint; ++code_point) {
    const bool is_near = code_point + 70 > range.first && code_point < range.last + 70;
    if (code_point % 97 != 0 && !(is_near && (code_point < range.first + 70 || code_point + 70 > range.last)))
      continue;
    if (code_point >= 0xd800 && code_point <= 0xdfff) continue;
    std::string text;
    append_utf8(text, code_point);
    int n_matches = 0;
    for (const ByteSequence& sequence : sequences) n_matches += matches(sequence, text);
    ASSERT_EQ(n_matches, range.first <= code_point && code_point <= range.last)
        << code_point << " of " << range.first << " to " << range.last;
  }
}

TEST(Utf8Ranges, HasEachCharacterOfARangeOnceAndNoOther) {
  for (const CharacterRange range : {CharacterRange{0, kMaxCodePoint},
                                     {0x7f, 0x80},
                                     {0x7ff, 0x800},
                                     {0xffff, 0x10000},
                                     {0xd7ff, 0xe000},
                                     {0x20ac, 0x20ac},
                                     {0x81, 0x10fffe}})
    expect_exact(range);
  std::mt19937 random(1);
  for (int round = 0; round < 15; ++round) {
    const auto first = static_cast<uint32_t>(random() % (kMaxCodePoint + 1) >> random() % 20);
    const auto last = first + static_cast<uint32_t>(random() % (kMaxCodePoint + 1 - first) >> random() % 20);
    expect_exact({first, last});
  }
}

TEST(Utf8Ranges, SurrogatesAreNoCharacters) {
  EXPECT_TRUE(utf8_sequences({0xd800, 0xdfff}).empty());
  for (const ByteSequence& sequence : utf8_sequences({0, kMaxCodePoint}))
    EXPECT_FALSE(matches(sequence, "\xed\xa0\x80"));
}

TEST(Utf8Ranges, AllCharactersTakeNineSequences) {
  // Unicode 15, table 3-7, has as many rows.
  EXPECT_EQ(utf8_sequences({0, kMaxCodePoint}).size(), 9u);
}

TEST(Utf8Ranges, HexadecimalDigitsEndWhereThereIsNone) {
  std::size_t pos = 1;
  EXPECT_EQ(read_hex(pos, "x00e9f", 4), 0xe9U);
  EXPECT_EQ(pos, 5U);
  pos = 0;
  EXPECT_EQ(read_hex(pos, "FfFfFfFf", 8), 0xffffffffU);
  for (const std::string_view text : {"12", "12g4", "12:4", "12@4", "12`4", "12G4", "12/4"}) {
    pos = 0;
    EXPECT_FALSE(read_hex(pos, text, 4)) << text;
    EXPECT_EQ(pos, 2U) << text;
  }
}

}  // namespace
}  // namespace lille
