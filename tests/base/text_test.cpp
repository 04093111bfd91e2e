#include "base/text.h"

#include <gtest/gtest.h>

#include <string>

namespace lille {
namespace {

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
