#include "tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "base/utf8.h"

namespace lille {
namespace {

/// Printable bytes of Latin-1 stand for themselves.
constexpr bool stands_for_itself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

constexpr uint32_t kNumCharacters = 256 + 68;  // 68 bytes do not stand for themselves

/// The byte that each code point stands for, or -1. The other bytes have the code points from 256 on, in
/// their order.
constexpr std::array<int16_t, kNumCharacters> make_alphabet() {
  std::array<int16_t, kNumCharacters> alphabet{};
  alphabet.fill(-1);
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte)
    alphabet[stands_for_itself(byte) ? byte : next++] = static_cast<int16_t>(byte);
  return alphabet;
}

constexpr std::array<int16_t, kNumCharacters> kAlphabet = make_alphabet();

/// The code point of each byte, all below 0x800.
constexpr std::array<uint16_t, 256> make_code_points() {
  std::array<uint16_t, 256> code_points{};
  for (uint16_t code_point = 0; code_point < kNumCharacters; ++code_point)
    if (kAlphabet[code_point] >= 0) code_points[static_cast<std::size_t>(kAlphabet[code_point])] = code_point;
  return code_points;
}

constexpr std::array<uint16_t, 256> kCodePoints = make_code_points();

}  // namespace

bool decode_byte_alphabet(std::string& bytes, std::string_view text) {
  bytes.clear();
  while (!text.empty()) {
    const Utf8Symbol symbol = first_utf8_symbol(text);
    if (symbol.code_point >= kNumCharacters || kAlphabet[symbol.code_point] < 0) return false;
    bytes += static_cast<char>(kAlphabet[symbol.code_point]);
    text.remove_prefix(symbol.n_bytes);
  }
  return true;
}

std::string encode_byte_alphabet(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    const auto code_point = kCodePoints[static_cast<unsigned char>(byte)];
    if (code_point < 0x80) {
      text += static_cast<char>(code_point);
    } else {
      text += static_cast<char>(0xc0 | code_point >> 6);
      text += static_cast<char>(0x80 | (code_point & 0x3f));
    }
  }
  return text;
}

}  // namespace lille
