#pragma once

#include <string>
#include <string_view>

#include "io/gguf.h"
#include "tokenizer/vocabulary.h"

namespace lille {

/// The content of one tokenizer file and its name for messages.
struct NamedText {
  std::string_view text;
  std::string name;
};

/// Hastings from the two files of Hugging Face's GPT2Tokenizer. Ranks are the ids; the merge list must say
/// the same.
/// @throws Error(kCorruptFile) that names the file and the entry.
Vocabulary read_vocab_and_merges(const NamedText& vocab, const NamedText& merges);

/// Hastings from a tokenizer.json of Hugging Face's tokenizers library.
/// @throws Error(kCorruptFile) that names the entry; Error(kUnsupported) for a model, a normalizer or a
///   pre-tokenizer that is not byte-level BPE as Hastings has it.
Vocabulary read_tokenizer_json(const NamedText& file);

/// Hastings from the author's pickle: the ranks of `mergeable_ranks` and the ids of `special_tokens`.
/// @throws Error(kCorruptFile) that names the entry or the place in the file; Error(kUnsupported) for a
///   pickle that holds more than plain data.
Vocabulary read_hastings_pickle(const NamedText& file);

/// Hastings from the metadata of a GGUF file: `tokenizer.ggml.tokens`, `token_type` and `merges`.
/// @throws Error(kCorruptFile) that names the file, the key and the entry; Error(kUnsupported) for a model or
/// a
///   pre-tokenizer that is not GPT-2's.
Vocabulary read_gguf_vocabulary(const GgufFile& file);

/// Checks a merge list against the ids: the merges, in their order, must make the tokens 256, 257 and so on.
/// @param merges  one merge a line, its two tokens in GPT-2's byte alphabet with a space between them; a
///   first line that begins with "#version" is skipped.
/// @throws Error(kCorruptFile) that names the line.
void check_merges(const Vocabulary& vocabulary, const NamedText& merges);

}  // namespace lille
