#include <string>

#include "base/check.h"
#include "base/text.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/quote.h"
#include "tokenizer/vocabulary_files.h"

namespace lille {
namespace {

constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";
constexpr std::string_view kTypesKey = "tokenizer.ggml.token_type";
constexpr std::string_view kMergesKey = "tokenizer.ggml.merges";

/// llama.cpp's numbers for what a token is, of those that byte-pair vocabularies have.
constexpr int32_t kNormal = 1;
constexpr int32_t kControl = 3;
constexpr int32_t kUserDefined = 4;

/// A text of the metadata must be one that means Hastings; absent, it is taken to.
void check_text(const GgufFile& file, std::string_view key, std::string_view expected,
                const std::string& source) {
  const std::optional<std::string_view> found = file.text(key);
  if (found && *found != expected)
    raise(
        ErrorCode::kUnsupported,
        "[tokenizer] {}: {}: expected \"{}\", got {}. Hint: only Lille's tokenizer, Hastings, is understood",
        source, key, expected, quote(*found));
}

const GgufArray& array_of(const GgufFile& file, std::string_view key, GgufType element_type,
                          const std::string& source) {
  const GgufArray* array = file.array(key, element_type);
  if (array == nullptr)
    raise(ErrorCode::kCorruptFile,
          "[tokenizer] {}: {}: expected an array, got none. Hint: does the file hold weights without a "
          "tokenizer?",
          source, key);
  return *array;
}

void check_type(int32_t type, bool is_special, std::string_view token, std::size_t id,
                const std::string& source) {
  if (is_special ? type == kControl || type == kUserDefined : type == kNormal) return;
  raise(ErrorCode::kCorruptFile,
        "[tokenizer] {}: {}: token {} with id {}: expected the type {}, got {}. Hint: was "
        "the file made from Hastings?",
        source, kTypesKey, quote(token), id, is_special ? "3, control" : "1, normal", type);
}

}  // namespace

Vocabulary read_gguf_vocabulary(const GgufFile& file) {
  const std::string source = printable_path(file.path());
  check_text(file, "tokenizer.ggml.model", "gpt2", source);
  check_text(file, "tokenizer.ggml.pre", "gpt-2", source);
  const GgufArray& tokens = array_of(file, kTokensKey, GgufType::kString, source);
  const GgufArray& types = array_of(file, kTypesKey, GgufType::kI32, source);
  const GgufArray& merges = array_of(file, kMergesKey, GgufType::kString, source);
  if (types.size() != tokens.size())
    raise(ErrorCode::kCorruptFile, "[tokenizer] {}: {}: expected {} types, one for each token, got {}",
          source, kTypesKey, tokens.size(), types.size());
  VocabularyBuilder builder(source);
  std::string bytes;
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    const std::string_view token = tokens.strings[id];
    const bool is_special = special_token_from_name(token).has_value();
    check_type(load_unaligned<int32_t>(types.numbers.data() + 4 * id), is_special, token, id, source);
    if (is_special) {
      builder.add_special(token, static_cast<int64_t>(id));
      continue;
    }
    if (!decode_byte_alphabet(bytes, token))
      raise(ErrorCode::kCorruptFile,
            "[tokenizer] {}: {}: token {} with id {}: expected characters of GPT-2's byte alphabet, got "
            "another",
            source, kTokensKey, quote(token), id);
    builder.add_token(bytes, static_cast<int64_t>(id));
  }
  Vocabulary vocabulary = std::move(builder).build();
  std::string lines;
  for (const std::string_view merge : merges.strings) {
    if (merge.find('\n') != std::string_view::npos)
      raise(ErrorCode::kCorruptFile,
            "[tokenizer] {}: {}: {}: expected two tokens with a space between them, got a "
            "line break",
            source, kMergesKey, quote(merge));
    lines.append(merge) += '\n';
  }
  check_merges(vocabulary, {lines, fmt::format("{}: {}", source, kMergesKey)});
  return vocabulary;
}

}  // namespace lille
