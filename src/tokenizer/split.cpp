#include "tokenizer/split.h"

#include <array>

#include "base/utf8.h"
#include "tokenizer/char_class.h"

namespace lille {
namespace {

/// The class of an ASCII byte, in a form that is one load.
struct ByteClass {
  bool is_ascii;
  CharClass char_class;
};

constexpr std::array<ByteClass, 256> make_byte_classes() {
  std::array<ByteClass, 256> classes{};
  for (std::size_t byte = 0; byte < 128; ++byte) {
    const bool is_letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    const bool is_number = byte >= '0' && byte <= '9';
    const bool is_space = byte == ' ' || (byte >= '\t' && byte <= '\r');
    classes[byte] = {true, is_letter   ? CharClass::kLetter
                           : is_number ? CharClass::kNumber
                           : is_space  ? CharClass::kSpace
                                       : CharClass::kOther};
  }
  return classes;
}

constexpr std::array<ByteClass, 256> kByteClasses = make_byte_classes();

struct Symbol {
  CharClass char_class;
  std::size_t n_bytes;
};

Symbol symbol_at(std::string_view text, std::size_t pos) noexcept {
  const ByteClass byte_class = kByteClasses[static_cast<unsigned char>(text[pos])];
  if (byte_class.is_ascii) return {byte_class.char_class, 1};
  const Utf8Symbol symbol = first_utf8_symbol(text.substr(pos, 4));
  return {char_class(symbol.code_point), symbol.n_bytes};
}

/// The end of the run of symbols of class `wanted` that goes on at pos.
std::size_t run_end(std::string_view text, std::size_t pos, CharClass wanted) noexcept {
  while (pos < text.size()) {
    const Symbol symbol = symbol_at(text, pos);
    if (symbol.char_class != wanted) break;
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
