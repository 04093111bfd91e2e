#include "grammar/utf8_ranges.h"

#include <algorithm>

namespace lille {
namespace {

std::size_t n_bytes_of(uint32_t code_point) {
  return code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
}

std::array<uint8_t, 4> encode(uint32_t code_point, std::size_t n_bytes) {
  std::array<uint8_t, 4> bytes{};
  for (std::size_t idx = n_bytes; idx-- > 1; code_point >>= 6)
    bytes[idx] = static_cast<uint8_t>(0x80u | (code_point & 0x3fu));
  constexpr std::array<uint8_t, 5> kLead = {0, 0x00, 0xc0, 0xe0, 0xf0};
  bytes[0] = static_cast<uint8_t>(kLead[n_bytes] | code_point);
  return bytes;
}

// Code points of one length. Where the last 6 * n bits do not run through all their values, the range is cut
// so that in each piece they do, or the bits above them are the same.
void append_sequences(std::vector<ByteSequence>& sequences, CharacterRange range, std::size_t n_bytes) {
  for (std::size_t n_last = 1; n_last < n_bytes; ++n_last) {
    const uint32_t mask = (1u << (6 * n_last)) - 1;
    if ((range.first & ~mask) == (range.last & ~mask)) continue;
    if ((range.first & mask) != 0) {
      append_sequences(sequences, {range.first, range.first | mask}, n_bytes);
      return append_sequences(sequences, {(range.first | mask) + 1, range.last}, n_bytes);
    }
    if ((range.last & mask) != mask) {
      append_sequences(sequences, {range.first, (range.last & ~mask) - 1}, n_bytes);
      return append_sequences(sequences, {range.last & ~mask, range.last}, n_bytes);
    }
  }
  const std::array<uint8_t, 4> first = encode(range.first, n_bytes);
  const std::array<uint8_t, 4> last = encode(range.last, n_bytes);
  ByteSequence sequence;
  sequence.n_bytes = n_bytes;
  for (std::size_t idx = 0; idx < n_bytes; ++idx) sequence.bytes[idx] = {first[idx], last[idx]};
  sequences.push_back(sequence);
}

std::optional<uint32_t> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<uint32_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<uint32_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<uint32_t>(c - 'A' + 10);
  return std::nullopt;
}

}  // namespace

std::vector<ByteSequence> utf8_sequences(CharacterRange range) {
  constexpr std::array<CharacterRange, 5> kPieces = {{{0, 0x7f},
                                                      {0x80, 0x7ff},
                                                      {0x800, kSurrogates.first - 1},
                                                      {kSurrogates.last + 1, 0xffff},
                                                      {0x10000, kMaxCodePoint}}};
  std::vector<ByteSequence> sequences;
  for (const CharacterRange& piece : kPieces) {
    const CharacterRange part = {std::max(range.first, piece.first), std::min(range.last, piece.last)};
    if (part.first <= part.last) append_sequences(sequences, part, n_bytes_of(part.first));
  }
  return sequences;
}

void append_utf8(std::string& text, uint32_t code_point) {
  const std::size_t n_bytes = n_bytes_of(code_point);
  const std::array<uint8_t, 4> bytes = encode(code_point, n_bytes);
  for (std::size_t idx = 0; idx < n_bytes; ++idx) text += static_cast<char>(bytes[idx]);
}

std::optional<uint32_t> read_hex(std::size_t& pos, std::string_view text, std::size_t n_digits) {
  uint32_t value = 0;
  for (std::size_t idx = 0; idx < n_digits; ++idx, ++pos) {
    const std::optional<uint32_t> digit = pos < text.size() ? hex_digit(text[pos]) : std::nullopt;
    if (!digit) return std::nullopt;
    value = value << 4 | *digit;
  }
  return value;
}

}  // namespace lille
