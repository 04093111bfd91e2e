#include "tokenizer/split.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/char_class.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace lille {
namespace {

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> pieces;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = piece_end(text, begin);
    pieces.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return pieces;
}

/// The pattern itself, run by PCRE2. Its \s is Unicode White_Space and, unlike tiktoken's, U+180E.
class PatternTwin {
 public:
  explicit PatternTwin(const char* pattern) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern), PCRE2_ZERO_TERMINATED,
                          PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &error, &offset, nullptr);
    pcre2_jit_compile(code_, PCRE2_JIT_COMPLETE);
    match_ = pcre2_match_data_create_from_pattern(code_, nullptr);
  }
  ~PatternTwin() {
    pcre2_match_data_free(match_);
    pcre2_code_free(code_);
  }
  PatternTwin(const PatternTwin&) = delete;
  PatternTwin& operator=(const PatternTwin&) = delete;

  std::vector<std::string> split(std::string_view text) const {
    std::vector<std::string> pieces;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = match_end(text, begin);
      if (end <= begin) break;
      pieces.emplace_back(text.substr(begin, end - begin));
      begin = end;
    }
    return pieces;
  }

  /// Where the match that starts at `begin` ends; 0 if there is none.
  std::size_t match_end(std::string_view text, std::size_t begin) const {
    const int result = pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), begin,
                                   PCRE2_NO_UTF_CHECK | PCRE2_ANCHORED, match_, nullptr);
    return result > 0 ? pcre2_get_ovector_pointer(match_)[1] : 0;
  }

 private:
  pcre2_code* code_ = nullptr;
  pcre2_match_data* match_ = nullptr;
};

const PatternTwin& pattern_twin() {
  static const PatternTwin twin(
      R"('(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s)");
  return twin;
}

std::string utf8(char32_t code_point) {
  utf8proc_uint8_t bytes[4];
  const auto n_bytes = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes);
  return {reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n_bytes)};
}

/// Whether PCRE2, whose Unicode can be older, knows the character, or it is unassigned for both.
bool has_one_meaning(char32_t code_point) {
  static const PatternTwin unassigned(R"(\p{Cn})");
  if ((code_point >= 0xd800 && code_point < 0xe000) || code_point == 0x180e) return false;
  return unassigned.match_end(utf8(code_point), 0) == 0 || char_class(code_point) == CharClass::kOther;
}

/// A character of one of several kinds, so that every branch of the pattern meets every other.
std::string random_character(std::mt19937& random) {
  static const std::vector<std::string> kinds[] = {
      {"a", "B", "s", "t", "l", "v", "e", "r", "m", "d", "\u00e9", "\u6f22", "\u0301", "\U0001d400"},
      {"0", "7", "\u0663", "\u00b2", "\u2167", "\u3007"},
      {" ", " ", "\n", "\t", "\r", "\v", "\f", "\u0085", "\u00a0", "\u2003", "\u2028", "\u2029", "\u3000",
       "\u1680"},
      {"'", "'", "-", "_", "^", "\U0001f600", "\u200d", "\u200b", "\ufeff", "\u2019", std::string(1, '\0'),
       "\x7f"},
      {"'s", "'ll", "'ve", "'re", "'l", " '", "'S", "'t"}};
  const auto& kind = kinds[random() % std::size(kinds)];
  return kind[random() % kind.size()];
}

TEST(Split, EqualsThePatternForEveryCharacterInEveryContext) {
  int n_compared = 0;
  for (char32_t code_point = 0; code_point <= 0x10ffff; ++code_point) {
    if (!has_one_meaning(code_point)) continue;
    const std::string character = utf8(code_point);
    for (const std::string& text :
         {"a" + character + "1" + character + "-", "  " + character + " " + character + "  "}) {
      ASSERT_EQ(split(text), pattern_twin().split(text)) << std::hex << static_cast<uint32_t>(code_point);
      ++n_compared;
    }
  }
  EXPECT_GT(n_compared, 2 * 1'100'000);
}

TEST(Split, EqualsThePatternOnRandomMixtures) {
  std::mt19937 random(1);
  for (int round = 0; round < 60000; ++round) {
    std::string text;
    for (std::size_t n = random() % 16; n > 0; --n) text += random_character(random);
    ASSERT_EQ(split(text), pattern_twin().split(text)) << text;
  }
}

TEST(Split, EqualsThePatternOnRandomCodePoints) {
  std::mt19937 random(2);
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (std::size_t n = random() % 12; n > 0; --n) {
      const char32_t limit = random() % 2 == 0 ? 0x3000 : 0x110000;
      const char32_t code_point = static_cast<char32_t>(random() % limit);
      text += has_one_meaning(code_point) ? utf8(code_point) : random_character(random);
    }
    ASSERT_EQ(split(text), pattern_twin().split(text)) << text;
  }
}

/// `text` with U+E000 for each byte that belongs to no character.
std::string with_marks(std::string_view text) {
  std::string marked;
  while (!text.empty()) {
    utf8proc_int32_t code_point = 0;
    const auto n_bytes = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                          static_cast<utf8proc_ssize_t>(text.size()), &code_point);
    marked += n_bytes > 0 ? std::string(text.substr(0, static_cast<std::size_t>(n_bytes))) : "\ue000";
    text.remove_prefix(n_bytes > 0 ? static_cast<std::size_t>(n_bytes) : 1);
  }
  return marked;
}

/// Bytes that are no UTF-8 behave as a character that is neither letter nor number nor space: the twin gets
/// U+E000, which is one, for each of them.
TEST(Split, TreatsABrokenByteAsASymbol) {
  std::mt19937 random(3);
  const std::vector<std::string> broken = {"\xff",     "\x80",         "\xc3", "\xe2\x82", "\xf0\x9f\x98",
                                           "\xc0\xaf", "\xed\xa0\x80", "\xf5", "\xf4\x90"};
  for (int round = 0; round < 30000; ++round) {
    std::string text;
    for (std::size_t n = random() % 10; n > 0; --n)
      text += random() % 3 == 0 ? broken[random() % broken.size()] : random_character(random);
    const std::string twin_text = with_marks(text);
    std::vector<std::string> pieces = split(text);
    for (std::string& piece : pieces) piece = with_marks(piece);
    ASSERT_EQ(pieces, pattern_twin().split(twin_text)) << twin_text;
  }
}

TEST(Split, KnowsWhatWhiteSpaceIs) {
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(split("a\u180eb"), (Pieces{"a", "\u180e", "b"}));
  EXPECT_EQ(split("a\u180e\u180e"), (Pieces{"a", "\u180e\u180e"}));
  EXPECT_EQ(split(" \u200b"), (Pieces{" \u200b"}));
  EXPECT_EQ(split("\n\n"), (Pieces{"\n\n"}));
  EXPECT_EQ(split("a \n"), (Pieces{"a", " \n"}));
  EXPECT_EQ(split("a\n\n b"), (Pieces{"a", "\n\n", " b"}));
  EXPECT_EQ(split("\n a"), (Pieces{"\n", " a"}));
  EXPECT_EQ(split("I'll don'T it's 'x"), (Pieces{"I", "'ll", " don", "'", "T", " it", "'s", " '", "x"}));
}

}  // namespace
}  // namespace lille
