#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "harness.h"
#include "tokenizer/bpe.h"
#include "tokenizer/split.h"
#include "tokenizer/vocabulary_files.h"

// An input is a letter and two to four parts with a byte 1 before each, which JSON cannot contain:
//   v 1 vocab.json 1 merges.txt 1 text
//   j 1 tokenizer.json 1 text
//   g 1 tokens 1 types 1 merges 1 text: the arrays of a GGUF file, tokens and merges by lines, a type a digit

namespace {

std::string_view take_part(std::string_view& rest) {
  const std::size_t n_bytes = rest.find('\1');
  const std::string_view part = rest.substr(0, n_bytes);
  rest.remove_prefix(n_bytes == std::string_view::npos ? rest.size() : n_bytes + 1);
  return part;
}

template <typename Number>
void append_number(std::string& bytes, Number number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void append_text(std::string& bytes, std::string_view text) {
  append_number(bytes, uint64_t{text.size()});
  bytes += text;
}

void append_key(std::string& bytes, std::string_view key, lille::GgufType type) {
  append_text(bytes, key);
  append_number(bytes, static_cast<uint32_t>(type));
}

void append_array(std::string& bytes, std::string_view key, lille::GgufType type, uint64_t n_items) {
  append_key(bytes, key, lille::GgufType::kArray);
  append_number(bytes, static_cast<uint32_t>(type));
  append_number(bytes, n_items);
}

void append_lines(std::string& bytes, std::string_view key, std::string_view lines) {
  std::string items;
  uint64_t n_items = 0;
  for (; !lines.empty(); ++n_items) {
    const std::size_t end = lines.find('\n');
    append_text(items, lines.substr(0, end));
    lines.remove_prefix(end == lines.npos ? lines.size() : end + 1);
  }
  append_array(bytes, key, lille::GgufType::kString, n_items);
  bytes += items;
}

/// A GGUF file, version 3, with a tokenizer and no tensors.
std::string gguf_of(std::string_view tokens, std::string_view types, std::string_view merges) {
  std::string bytes = "GGUF";
  append_number(bytes, uint32_t{3});
  append_number(bytes, uint64_t{0});
  append_number(bytes, uint64_t{5});
  append_key(bytes, "tokenizer.ggml.model", lille::GgufType::kString);
  append_text(bytes, "gpt2");
  append_key(bytes, "tokenizer.ggml.pre", lille::GgufType::kString);
  append_text(bytes, "gpt-2");
  append_lines(bytes, "tokenizer.ggml.tokens", tokens);
  append_array(bytes, "tokenizer.ggml.token_type", lille::GgufType::kI32, types.size());
  for (const char digit : types) append_number(bytes, int32_t{digit - '0'});
  append_lines(bytes, "tokenizer.ggml.merges", merges);
  return bytes;
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
    } else if (form == "g") {
      static const lille::fuzz::MemoryFile memory;
      const std::string_view types = take_part(rest);
      const std::string_view merges = take_part(rest);
      memory.fill(gguf_of(first, types, merges));
      encode(rest, lille::read_gguf_vocabulary(lille::GgufFile(memory.path())));
    } else {
      const std::string_view merges = take_part(rest);
      encode(rest, lille::read_vocab_and_merges({first, "vocab.json"}, {merges, "merges.txt"}));
    }
  } catch (const lille::Error& error) {
    lille::fuzz::check_refusal(error);
  }
  return 0;
}
