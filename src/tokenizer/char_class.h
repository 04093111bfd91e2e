#pragma once

#include <cstdint>

namespace lille {

/// What the split pattern tells apart: \p{L}, \p{N}, \s (Unicode's White_Space) and everything else.
enum class CharClass : uint8_t { kLetter, kNumber, kSpace, kOther };

/// The class of a code point as of Unicode 16, the version that tiktoken splits by; kOther for numbers that
/// are no code point.
CharClass char_class(uint32_t code_point) noexcept;

}  // namespace lille
