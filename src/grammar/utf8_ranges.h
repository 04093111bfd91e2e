#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/expression.h"

namespace lille {

/// The last code point of Unicode.
inline constexpr uint32_t kMaxCodePoint = 0x10ffff;
/// Code points that are no characters.
inline constexpr CharacterRange kSurrogates = {0xd800, 0xdfff};

/// Bytes from `first` to `last`, both included.
struct ByteRange {
  uint8_t first = 0;
  uint8_t last = 0;
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

/// Characters whose encodings have one byte of each range, in any combination.
struct ByteSequence {
  std::array<ByteRange, 4> bytes{};
  std::size_t n_bytes = 0;
};

/// The encodings of all characters of a range in UTF-8, each by exactly one sequence; surrogates are left
/// out. Source: Unicode 15, table 3-7.
/// @param range  `last` at most kMaxCodePoint.
std::vector<ByteSequence> utf8_sequences(CharacterRange range);

/// Appends a character's encoding in UTF-8.
/// @param code_point  at most kMaxCodePoint and no surrogate.
void append_utf8(std::string& text, uint32_t code_point);

/// Reads hexadecimal digits.
/// @param pos       where they begin; moved behind them, or to what is none of them.
/// @param n_digits  how many, at most 8.
/// @return none if there are fewer.
std::optional<uint32_t> read_hex(std::size_t& pos, std::string_view text, std::size_t n_digits);

}  // namespace lille
