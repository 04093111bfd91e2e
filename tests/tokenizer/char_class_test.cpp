#include "tokenizer/char_class.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "base/utf8.h"

namespace lille {
namespace {

/// White_Space has 25 code points, all of which tiktoken 1.0.22 (npm) matches with \s.
TEST(CharClass, WhiteSpaceIsUnicodes) {
  int n_spaces = 0;
  for (uint32_t code_point = 0; code_point <= 0x10ffff; ++code_point)
    n_spaces += char_class(code_point) == CharClass::kSpace;
  EXPECT_EQ(n_spaces, 25);
  for (const uint32_t code_point : {0x180eu, 0x200bu, 0x2060u, 0xfeffu, 0x1fu})
    EXPECT_EQ(char_class(code_point), CharClass::kOther) << code_point;
}

TEST(CharClass, LettersNumbersAndOthers) {
  for (const uint32_t letter : {0x41u, 0xaau, 0xe9u, 0x1c5u, 0x2b0u, 0x6f22u, 0xac00u, 0x1d400u, 0x323afu})
    EXPECT_EQ(char_class(letter), CharClass::kLetter) << letter;
  for (const uint32_t number : {0x30u, 0xb2u, 0x663u, 0x2167u, 0x3007u, 0x1d7ceu})
    EXPECT_EQ(char_class(number), CharClass::kNumber) << number;
  for (const uint32_t other : {0x0u, 0x2du, 0x301u, 0x20acu, 0xd800u, 0xe000u, 0x1f600u, 0x10ffffu})
    EXPECT_EQ(char_class(other), CharClass::kOther) << other;
  EXPECT_EQ(char_class(Utf8Symbol::kNoCharacter), CharClass::kOther);
  EXPECT_EQ(char_class(0x110000), CharClass::kOther);
}

/// Ends of ranges that Unicode 15.1 and 16 added, as tiktoken 1.0.22 (npm) classifies them.
TEST(CharClass, KnowsUnicode16) {
  for (const uint32_t letter :
       {0x1c89u, 0xa7cbu, 0xa7dcu, 0x105c0u, 0x11380u, 0x13460u, 0x143fau, 0x16d6cu, 0x2ebf0u, 0x2ee5du})
    EXPECT_EQ(char_class(letter), CharClass::kLetter) << letter;
  for (const uint32_t number : {0x10d40u, 0x10d49u, 0x116d0u, 0x11bf9u, 0x16d79u, 0x1ccf0u, 0x1e5fau})
    EXPECT_EQ(char_class(number), CharClass::kNumber) << number;
  for (const uint32_t other : {0x1c8bu, 0x105f4u, 0x1138au, 0x143fbu, 0x16d6du, 0x2ee5eu})
    EXPECT_EQ(char_class(other), CharClass::kOther) << other;
}

}  // namespace
}  // namespace lille
