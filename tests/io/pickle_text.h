#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace lille::test {

/// Pickle opcodes with their arguments, as Python writes them. Source: Python Lib/pickletools.py.
inline std::string pickle_str(std::string_view text) {
  return fmt::format("\x8c{}{}", static_cast<char>(text.size()), text);
}
inline std::string pickle_bytes(std::string_view bytes) {
  return fmt::format("C{}{}", static_cast<char>(bytes.size()), bytes);
}
/// Of at most 16 bits.
inline std::string pickle_int(int value) {
  return {'M', static_cast<char>(value & 0xff), static_cast<char>(value >> 8 & 0xff)};
}

}  // namespace lille::test
