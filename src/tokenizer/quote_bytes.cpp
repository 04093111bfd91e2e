#include "tokenizer/quote_bytes.h"

#include <fmt/format.h>

#include <iterator>

namespace lille {

std::string quote_bytes(std::string_view bytes, std::size_t max_bytes) {
  std::string text = "\"";
  for (const char c : bytes.substr(0, max_bytes)) {
    if (c == '"' || c == '\\') text += '\\';
    if (c >= 0x20 && c < 0x7f)
      text += c;
    else
      fmt::format_to(std::back_inserter(text), "\\x{:02x}", static_cast<unsigned char>(c));
  }
  text += bytes.size() > max_bytes ? "\"..." : "\"";
  return text;
}

}  // namespace lille
