#include "tokenizer/byte_alphabet.h"

#include <gtest/gtest.h>

#include <string>

namespace lille {
namespace {

using namespace std::string_literals;

TEST(ByteAlphabet, DecodesGpt2sCharacters) {
  std::string bytes = "former content";
  EXPECT_TRUE(decode_byte_alphabet(bytes, "\u0120the"));
  EXPECT_EQ(bytes, " the");
  EXPECT_TRUE(decode_byte_alphabet(bytes, "\u010a\u0109\u0100!~"));
  EXPECT_EQ(bytes, "\n\t\0!~"s);
  EXPECT_TRUE(decode_byte_alphabet(bytes, "\u00a1\u00ac\u00ae\u00ff\u0121\u0122\u0142\u0143"));
  EXPECT_EQ(bytes, "\xa1\xac\xae\xff\x7f\x80\xa0\xad");
  EXPECT_TRUE(decode_byte_alphabet(bytes, ""));
  EXPECT_EQ(bytes, "");
}

TEST(ByteAlphabet, RefusesEveryOtherCharacter) {
  std::string bytes;
  for (const std::string text :
       {" ", "\n", "\u00a0", "\u00ad", "\u0144", "\u6f22", "\U0001f600", "a\xff", "\xc4"})
    EXPECT_FALSE(decode_byte_alphabet(bytes, text)) << text;
}

TEST(ByteAlphabet, EncodesEveryByte) {
  EXPECT_EQ(encode_byte_alphabet(" the"), "\u0120the");
  EXPECT_EQ(encode_byte_alphabet("\xa1\xac\xae\xff\x7f\x80\xa0\xad"),
            "\u00a1\u00ac\u00ae\u00ff\u0121\u0122\u0142\u0143");
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  std::string bytes;
  EXPECT_TRUE(decode_byte_alphabet(bytes, encode_byte_alphabet(all)));
  EXPECT_EQ(bytes, all);
}

}  // namespace
}  // namespace lille
