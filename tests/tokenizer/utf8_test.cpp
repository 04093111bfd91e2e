#include "tokenizer/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace lille {
namespace {

using namespace std::string_literals;

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
