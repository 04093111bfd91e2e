#include "tokenizer/char_class.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>

namespace lille {
namespace {

struct Range {
  uint32_t first;
  uint32_t last;
  CharClass char_class;
};

/// Letters and numbers that Unicode 15.1 and 16 added, so that utf8proc 2.8 (Unicode 15) does not know them.
/// Source: npm's tiktoken 1.0.22, asked for every code point whether a text of it alone matches \p{L}, \p{N}
/// or \s; these are all code points where its answer and utf8proc's differ.
constexpr Range kYoungCharacters[] = {
    {0x1c89, 0x1c8a, CharClass::kLetter},   {0xa7cb, 0xa7cd, CharClass::kLetter},
    {0xa7da, 0xa7dc, CharClass::kLetter},   {0x105c0, 0x105f3, CharClass::kLetter},
    {0x10d40, 0x10d49, CharClass::kNumber}, {0x10d4a, 0x10d65, CharClass::kLetter},
    {0x10d6f, 0x10d85, CharClass::kLetter}, {0x10ec2, 0x10ec4, CharClass::kLetter},
    {0x11380, 0x11389, CharClass::kLetter}, {0x1138b, 0x1138b, CharClass::kLetter},
    {0x1138e, 0x1138e, CharClass::kLetter}, {0x11390, 0x113b5, CharClass::kLetter},
    {0x113b7, 0x113b7, CharClass::kLetter}, {0x113d1, 0x113d1, CharClass::kLetter},
    {0x113d3, 0x113d3, CharClass::kLetter}, {0x116d0, 0x116e3, CharClass::kNumber},
    {0x11bc0, 0x11be0, CharClass::kLetter}, {0x11bf0, 0x11bf9, CharClass::kNumber},
    {0x13460, 0x143fa, CharClass::kLetter}, {0x16100, 0x1611d, CharClass::kLetter},
    {0x16130, 0x16139, CharClass::kNumber}, {0x16d40, 0x16d6c, CharClass::kLetter},
    {0x16d70, 0x16d79, CharClass::kNumber}, {0x18cff, 0x18cff, CharClass::kLetter},
    {0x1ccf0, 0x1ccf9, CharClass::kNumber}, {0x1e5d0, 0x1e5ed, CharClass::kLetter},
    {0x1e5f0, 0x1e5f0, CharClass::kLetter}, {0x1e5f1, 0x1e5fa, CharClass::kNumber},
    {0x2ebf0, 0x2ee5d, CharClass::kLetter},
};

CharClass young_class(uint32_t code_point) noexcept {
  const Range* range =
      std::lower_bound(std::begin(kYoungCharacters), std::end(kYoungCharacters), code_point,
                       [](const Range& before, uint32_t wanted) { return before.last < wanted; });
  const bool is_inside = range != std::end(kYoungCharacters) && range->first <= code_point;
  return is_inside ? range->char_class : CharClass::kOther;
}

/// White_Space is not quite any general category: controls are in it, U+180E and U+200B are not.
bool is_white_space(uint32_t code_point) noexcept {
  return code_point == ' ' || (code_point >= '\t' && code_point <= '\r') || code_point == 0x85 ||
         code_point == 0xa0 || code_point == 0x1680 || (code_point >= 0x2000 && code_point <= 0x200a) ||
         code_point == 0x2028 || code_point == 0x2029 || code_point == 0x202f || code_point == 0x205f ||
         code_point == 0x3000;
}

}  // namespace

CharClass char_class(uint32_t code_point) noexcept {
  if (code_point > 0x10ffff) return CharClass::kOther;
  if (is_white_space(code_point)) return CharClass::kSpace;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::kNumber;
    case UTF8PROC_CATEGORY_CN:
      return young_class(code_point);
    default:
      return CharClass::kOther;
  }
}

}  // namespace lille
