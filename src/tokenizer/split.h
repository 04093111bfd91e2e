#pragma once

#include <cstddef>
#include <string_view>

namespace lille {

/// Where the piece of `text` that starts at byte `begin` ends, as GPT-2's pattern in tiktoken's form splits:
/// `'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s`, where \s is Unicode
/// White_Space and $ the very end of the text. A byte that belongs to no UTF-8 character counts as a symbol
/// that is neither letter nor number nor space. Time is proportional to the piece's length.
/// @param begin  less than text.size().
/// Source: Nikityyy/Hastings create_tokenizer.py pat_str.
std::size_t piece_end(std::string_view text, std::size_t begin) noexcept;

}  // namespace lille
