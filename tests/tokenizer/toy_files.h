#pragma once

#include <string>
#include <string_view>

#include "io/pickle_text.h"

namespace lille::test {

/// A tokenizer with Hastings' form and 264 tokens, as the text of each of its files: the 256 bytes, the
/// merges " t" (256), "he" (257) and " the" (258), and the special tokens from 259 on.
std::string toy_vocab_json();
std::string toy_merges_txt();
std::string toy_tokenizer_json();
std::string toy_pickle();

/// `text` with the one place where `part` stands changed.
std::string with_change(std::string text, std::string_view part, std::string_view replacement);

}  // namespace lille::test
