#include "base/text.h"

#include <gtest/gtest.h>

#include <string>

namespace lille {
namespace {

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

TEST(Printable, KeepsOrdinaryTextOfAnyScript) {
  EXPECT_EQ(printable("transformer.norm.weight"), "transformer.norm.weight");
  EXPECT_EQ(printable("\xce\xa9 \xc3\xbc \xe6\xbc\xa2"), "\xce\xa9 \xc3\xbc \xe6\xbc\xa2");
}

TEST(Printable, EscapesWhatWouldBreakALineOrTheTerminal) {
  EXPECT_EQ(printable("a\nb\x1b[31m\x7f"), "a\\x0ab\\x1b[31m\\x7f");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(printable("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(printable("\xc2\x85"), "\\u{85}");
  EXPECT_EQ(printable("\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6"), "\\u{2028}\\u{202e}\\u{2066}");
}

TEST(Printable, CutsBetweenCharacters) {
  EXPECT_EQ(printable("\xc3\xbc\xc3\xbc\xc3\xbc", 2), "\xc3\xbc\xc3\xbc...");
  EXPECT_EQ(printable("ab", 2), "ab");
  EXPECT_EQ(printable(std::string(1000, 'x')), std::string(80, 'x') + "...");
}

TEST(Printable, PathsStayWhole) {
  EXPECT_EQ(printable_path(std::string(200, 'x')), std::string(200, 'x'));
  EXPECT_EQ(printable_path("a\nb"), "a\\x0ab");
}

}  // namespace
}  // namespace lille
