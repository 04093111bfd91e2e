#include "tokenizer/split.h"

#include <utf8proc.h>

#include <array>
#include <cstdint>

#include "tokenizer/utf8.h"

namespace lille {
namespace {

enum class CharClass : uint8_t { kLetter, kNumber, kSpace, kOther, kNotAscii };

constexpr std::array<CharClass, 256> make_byte_classes() {
  std::array<CharClass, 256> classes{};
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const bool is_letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    const bool is_space = byte == ' ' || (byte >= '\t' && byte <= '\r');
    classes[byte] = byte >= 0x80                 ? CharClass::kNotAscii
                    : is_letter                  ? CharClass::kLetter
                    : byte >= '0' && byte <= '9' ? CharClass::kNumber
                    : is_space                   ? CharClass::kSpace
                                                 : CharClass::kOther;
  }
  return classes;
}

constexpr std::array<CharClass, 256> kByteClasses = make_byte_classes();

/// Unicode's White_Space above ASCII, which is not quite any general category.
bool is_wide_space(uint32_t code_point) noexcept {
  return code_point == 0x85 || code_point == 0xa0 || code_point == 0x1680 ||
         (code_point >= 0x2000 && code_point <= 0x200a) || code_point == 0x2028 || code_point == 0x2029 ||
         code_point == 0x202f || code_point == 0x205f || code_point == 0x3000;
}

CharClass wide_class(uint32_t code_point) noexcept {
  if (code_point == Utf8Symbol::kNoCharacter) return CharClass::kOther;
  if (is_wide_space(code_point)) return CharClass::kSpace;
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
    default:
      return CharClass::kOther;
  }
}

struct Symbol {
  CharClass char_class;
  std::size_t n_bytes;
};

Symbol symbol_at(std::string_view text, std::size_t pos) noexcept {
  const CharClass byte_class = kByteClasses[static_cast<unsigned char>(text[pos])];
  if (byte_class != CharClass::kNotAscii) return {byte_class, 1};
  const Utf8Symbol symbol = first_utf8_symbol(text.substr(pos, 4));
  return {wide_class(symbol.code_point), symbol.n_bytes};
}

/// The end of the run of symbols of one class that starts at or before pos.
std::size_t run_end(std::string_view text, std::size_t pos, CharClass char_class) noexcept {
  while (pos < text.size()) {
    const CharClass byte_class = kByteClasses[static_cast<unsigned char>(text[pos])];
    if (byte_class == char_class) {
      ++pos;
      continue;
    }
    if (byte_class != CharClass::kNotAscii) break;
    const Symbol symbol = symbol_at(text, pos);
    if (symbol.char_class != char_class) break;
    pos += symbol.n_bytes;
  }
  return pos;
}

/// Bytes of the contraction at pos, where an apostrophe stands; 0 if there is none.
std::size_t contraction_bytes(std::string_view text, std::size_t pos) noexcept {
  const std::string_view rest = text.substr(pos + 1, 2);
  if (rest.empty()) return 0;
  if (rest[0] == 's' || rest[0] == 'd' || rest[0] == 'm' || rest[0] == 't') return 2;
  return rest == "ll" || rest == "ve" || rest == "re" ? 3 : 0;
}

/// A run of spaces keeps its last one for the piece after it, unless the text ends there or it is the only
/// one.
std::size_t space_run_end(std::string_view text, std::size_t begin) noexcept {
  std::size_t pos = begin;
  std::size_t last_begin = begin;
  while (pos < text.size()) {
    const Symbol symbol = symbol_at(text, pos);
    if (symbol.char_class != CharClass::kSpace) return last_begin > begin ? last_begin : pos;
    last_begin = pos;
    pos += symbol.n_bytes;
  }
  return pos;
}

}  // namespace

std::size_t piece_end(std::string_view text, std::size_t begin) noexcept {
  if (text[begin] == '\'') {
    const std::size_t n_bytes = contraction_bytes(text, begin);
    if (n_bytes != 0) return begin + n_bytes;
  }
  const std::size_t body = begin + (text[begin] == ' ' && begin + 1 < text.size() ? 1 : 0);
  const Symbol first = symbol_at(text, body);
  if (first.char_class != CharClass::kSpace) return run_end(text, body + first.n_bytes, first.char_class);
  return space_run_end(text, begin);
}

}  // namespace lille
