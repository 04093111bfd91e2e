#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace lille {

/// Appends the byte-pair encoding of one piece: again and again the adjacent pair whose bytes together are
/// the token of lowest rank is joined, the leftmost of equals first. A piece that is a token as a whole is
/// that token. At most n log n in the piece's length.
/// @throws Error(kInvalidArgument) for a piece of 4 GiB or more.
/// Source: openai/tiktoken src/lib.rs byte_pair_encode, byte_pair_merge.
void append_bpe(std::vector<int32_t>& ids, std::string_view piece, const Vocabulary& vocabulary);

/// append_bpe as its definition says it, by looking through all pairs before each merge: the twin that tests
/// compare with. Quadratic in the piece's length.
void append_bpe_reference(std::vector<int32_t>& ids, std::string_view piece, const Vocabulary& vocabulary);

}  // namespace lille
