#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace lille {
namespace {

using namespace std::string_literals;

/// UTF-8 by its definition: the leading byte counts the bytes, each other one carries six bits.
std::string encode(uint32_t code_point) {
  const auto tail = [code_point](int shift) {
    return static_cast<char>(0x80 | (code_point >> shift & 0x3f));
  };
  std::string text;
  if (code_point < 0x80) {
    text.push_back(static_cast<char>(code_point));
  } else if (code_point < 0x800) {
    text.push_back(static_cast<char>(0xc0 | code_point >> 6));
  } else if (code_point < 0x10000) {
    text.push_back(static_cast<char>(0xe0 | code_point >> 12));
    text.push_back(tail(6));
  } else {
    text.push_back(static_cast<char>(0xf0 | code_point >> 18));
    text.push_back(tail(12));
    text.push_back(tail(6));
  }
  if (code_point >= 0x80) text.push_back(tail(0));
  return text;
}

TEST(Utf8, AcceptsEveryCodePointAndNoSurrogate) {
  for (uint32_t code_point = 0; code_point <= 0x10ffff; ++code_point) {
    const std::string text = encode(code_point);
    const bool is_surrogate = code_point >= 0xd800 && code_point < 0xe000;
    ASSERT_EQ(utf8_char_bytes(text), is_surrogate ? 0u : text.size()) << code_point;
    ASSERT_EQ(first_utf8_symbol(text).code_point, is_surrogate ? Utf8Symbol::kNoCharacter : code_point);
    ASSERT_EQ(utf8_char_bytes(std::string_view(text).substr(0, text.size() - 1)), 0u) << code_point;
  }
}

TEST(Utf8, RefusesOverlongFormsAndStrayBytes) {
  for (const char* text : {"\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                           "\xf5\x80\x80\x80", "\x80", "\xff", "\xc3(", "\xe2\x82(", "\xf0\x9f\x98("})
    EXPECT_EQ(utf8_char_bytes(text), 0u);
  EXPECT_FALSE(is_valid_utf8("good \xff"));
  EXPECT_TRUE(is_valid_utf8("\xce\xa9 \xf0\x9f\xa6\x84"));
  EXPECT_TRUE(is_valid_utf8(""));
}

TEST(Utf8, FirstSymbolOfEachLength) {
  const auto code_point = [](const std::string& text) { return first_utf8_symbol(text).code_point; };
  const auto n_bytes = [](const std::string& text) { return first_utf8_symbol(text).n_bytes; };
  EXPECT_EQ(code_point("\0"s), 0u);
  EXPECT_EQ(code_point("az"), 0x61u);
  EXPECT_EQ(code_point("\u00e9z"), 0xe9u);
  EXPECT_EQ(n_bytes("\u00e9z"), 2u);
  EXPECT_EQ(code_point("\u6f22z"), 0x6f22u);
  EXPECT_EQ(n_bytes("\u6f22z"), 3u);
  EXPECT_EQ(code_point("\U0010ffff"), 0x10ffffu);
  EXPECT_EQ(n_bytes("\U0010ffff"), 4u);
}

TEST(Utf8, BytesThatAreNoCharacter) {
  for (const std::string text : {"\x80", "\xff", "\xc0\xaf", "\xc3", "\xc3z", "\xed\xa0\x80", "\xe2\x82",
                                 "\xf4\x90\x80\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80"}) {
    EXPECT_EQ(first_utf8_symbol(text).code_point, Utf8Symbol::kNoCharacter) << text;
    EXPECT_EQ(first_utf8_symbol(text).n_bytes, 1u);
  }
}

TEST(Utf8, UnfinishedBytesAreThoseThatCanBecomeACharacter) {
  EXPECT_EQ(unfinished_utf8_bytes(""), 0u);
  EXPECT_EQ(unfinished_utf8_bytes("abc"), 0u);
  EXPECT_EQ(unfinished_utf8_bytes("a\u00e9\u6f22\U0001f600"), 0u);
  EXPECT_EQ(unfinished_utf8_bytes("a\xc3"), 1u);
  EXPECT_EQ(unfinished_utf8_bytes("a\xe2"), 1u);
  EXPECT_EQ(unfinished_utf8_bytes("a\xe2\x82"), 2u);
  EXPECT_EQ(unfinished_utf8_bytes("\xf0"), 1u);
  EXPECT_EQ(unfinished_utf8_bytes("\xf0\x9f"), 2u);
  EXPECT_EQ(unfinished_utf8_bytes("\xf0\x9f\x98"), 3u);
  EXPECT_EQ(unfinished_utf8_bytes("\xff\xe0\xa0"), 2u);
}

TEST(Utf8, HopelessBytesAreNotUnfinished) {
  for (const char* text :
       {"\xc0", "\xc1", "\xf5", "\xff", "\x80", "\xe0\x80", "\xe0\x9f", "\xed\xa0", "\xed\xbf", "\xf0\x80",
        "\xf0\x8f\xbf", "\xf4\x90", "\xc3\xa9\x80", "\xe2\x41", "\xe2\x82\xac\x82"})
    EXPECT_EQ(unfinished_utf8_bytes(text), 0u) << text;
}

}  // namespace
}  // namespace lille
