#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "harness.h"
#include "tokenizer/bpe.h"
#include "tokenizer/split.h"
#include "tokenizer/vocabulary_files.h"

// An input is a letter and two or three parts with a byte 1 before each, which JSON cannot contain:
//   v 1 vocab.json 1 merges.txt 1 text
//   j 1 tokenizer.json 1 text

namespace {

std::string_view take_part(std::string_view& rest) {
  const std::size_t n_bytes = rest.find('\1');
  const std::string_view part = rest.substr(0, n_bytes);
  rest.remove_prefix(n_bytes == std::string_view::npos ? rest.size() : n_bytes + 1);
  return part;
}

/// Whatever vocabulary a file holds, encoding loses nothing and the fast merge equals its readable twin.
void encode(std::string_view text, const lille::Vocabulary& vocabulary) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = lille::piece_end(text, begin);
    if (end <= begin || end > text.size()) std::abort();
    const std::string_view piece = text.substr(begin, end - begin);
    std::vector<int32_t> ids;
    lille::append_bpe(ids, piece, vocabulary);
    std::string decoded;
    for (const int32_t id : ids) decoded += vocabulary.bytes(id);
    if (decoded != piece) std::abort();
    if (piece.size() <= 512) {
      std::vector<int32_t> expected;
      lille::append_bpe_reference(expected, piece, vocabulary);
      if (ids != expected) std::abort();
    }
    begin = end;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  std::string_view rest(reinterpret_cast<const char*>(data), n_bytes);
  const std::string_view form = take_part(rest);
  const std::string_view first = take_part(rest);
  try {
    if (form == "j") {
      encode(rest, lille::read_tokenizer_json({first, "fuzz.json"}));
    } else {
      const std::string_view merges = take_part(rest);
      encode(rest, lille::read_vocab_and_merges({first, "vocab.json"}, {merges, "merges.txt"}));
    }
  } catch (const lille::Error& error) {
    lille::fuzz::check_refusal(error);
  }
  return 0;
}
