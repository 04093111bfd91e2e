#include "base/text.h"

#include <fmt/format.h>

#include <cstdint>
#include <limits>

#include "base/utf8.h"

namespace lille {
namespace {

bool breaks_a_line_of_text(uint32_t code_point) noexcept {
  const bool is_control = code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0);
  const bool is_separator_or_direction = code_point >= 0x2028 && code_point <= 0x202e;
  const bool is_direction_isolate = code_point >= 0x2066 && code_point <= 0x2069;
  return is_control || is_separator_or_direction || is_direction_isolate;
}

}  // namespace

std::string printable(std::string_view text, std::size_t max_chars) {
  std::string result;
  for (std::size_t n_chars = 0; !text.empty(); ++n_chars) {
    if (n_chars == max_chars) return result + "...";
    const auto [code_point, n_bytes] = first_utf8_symbol(text);
    if (code_point == Utf8Symbol::kNoCharacter)
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
    else if (breaks_a_line_of_text(code_point))
      result +=
          code_point < 0x80 ? fmt::format("\\x{:02x}", code_point) : fmt::format("\\u{{{:x}}}", code_point);
    else
      result += text.substr(0, n_bytes);
    text.remove_prefix(n_bytes);
  }
  return result;
}

std::string printable_path(const std::filesystem::path& path) {
  return printable(path.native(), std::numeric_limits<std::size_t>::max());
}

}  // namespace lille
