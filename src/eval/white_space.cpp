#include "eval/white_space.h"

#include "base/utf8.h"
#include "tokenizer/char_class.h"

namespace lille {
namespace {

bool is_space(uint32_t code_point) noexcept {
  return char_class(code_point) == CharClass::kSpace || (code_point >= 0x1c && code_point <= 0x1f);
}

}  // namespace

std::string_view without_trailing_space(std::string_view text) noexcept {
  std::size_t n_kept = 0;
  for (std::size_t offset = 0; offset < text.size();) {
    const Utf8Symbol symbol = first_utf8_symbol(text.substr(offset));
    offset += symbol.n_bytes;
    if (!is_space(symbol.code_point)) n_kept = offset;
  }
  return text.substr(0, n_kept);
}

std::string_view without_outer_space(std::string_view text) noexcept {
  while (!text.empty()) {
    const Utf8Symbol symbol = first_utf8_symbol(text);
    if (!is_space(symbol.code_point)) break;
    text.remove_prefix(symbol.n_bytes);
  }
  return without_trailing_space(text);
}

}  // namespace lille
