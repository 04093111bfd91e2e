#pragma once

#include <cstdint>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace lille {

/// The two tokens that byte-pair encoding joins to make a third.
struct Merge {
  int32_t left = 0;
  int32_t right = 0;
};

/// The merges of a vocabulary in the order of what they make: token 256, 257 and so on.
/// @throws Error(kUnsupported) that names a token which merges of lower rank do not make, so that a list of
///   merges cannot say it.
std::vector<Merge> merges_of(const Vocabulary& vocabulary);

}  // namespace lille
