#include <string>

#include "base/check.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/json_events.h"
#include "tokenizer/quote.h"
#include "tokenizer/vocabulary_files.h"

namespace lille {
namespace {

/// vocab.json: one object from tokens in GPT-2's byte alphabet to ids, special tokens among them.
class VocabVisitor : public JsonVisitor {
 public:
  explicit VocabVisitor(const std::string& source) : source_(source), builder_(source) {}

  void on_scalar(const JsonPath& path, const JsonScalar& value) override {
    if (path.depth() == 0) raise_no_object(value.kind_name());
    if (value.kind != JsonScalar::Kind::kInteger) raise_no_id(path, value.kind_name());
    if (special_token_from_name(path.key())) {
      builder_.add_special(path.key(), value.integer);
      return;
    }
    if (!decode_byte_alphabet(bytes_, path.key()))
      raise(ErrorCode::kCorruptFile,
            "[tokenizer] {}: token {} with id {}: expected characters of GPT-2's byte alphabet, got another",
            source_, quote(path.key()), value.integer);
    builder_.add_token(bytes_, value.integer);
  }

  void on_begin(const JsonPath& path, bool is_array) override {
    if (path.depth() != 0) raise_no_id(path, is_array ? "an array" : "an object");
    if (is_array) raise_no_object("an array");
  }

  void on_end(const JsonPath&, bool) override {}

  Vocabulary build() && { return std::move(builder_).build(); }

 private:
  [[noreturn]] void raise_no_object(std::string_view found) const {
    raise(ErrorCode::kCorruptFile, "[tokenizer] {}: expected an object from tokens to ids, got {}", source_,
          found);
  }
  [[noreturn]] void raise_no_id(const JsonPath& path, std::string_view found) const {
    raise(ErrorCode::kCorruptFile, "[tokenizer] {}: token {}: expected an integer id, got {}", source_,
          quote(path.key()), found);
  }

  const std::string& source_;
  VocabularyBuilder builder_;
  std::string bytes_;
};

/// The line at the start of `text`, which loses it.
std::string_view take_line(std::string_view& text) {
  const std::size_t n_bytes = text.find('\n');
  const std::string_view line = text.substr(0, n_bytes);
  text.remove_prefix(n_bytes == std::string_view::npos ? text.size() : n_bytes + 1);
  return line;
}

/// Reads merges line by line and knows which token the next must make.
class MergeChecker {
 public:
  MergeChecker(const Vocabulary& vocabulary, const std::string& source)
      : vocabulary_(vocabulary), source_(source) {}

  void check(std::string_view line, int64_t line_number) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos)
      raise(ErrorCode::kCorruptFile,
            "[tokenizer] {}: merge {} {}: expected two tokens with a space between them", source_,
            line_number, quote(line));
    take_token(left_, line.substr(0, space), line_number);
    take_token(right_, line.substr(space + 1), line_number);
    left_ += right_;
    const int32_t id = vocabulary_.find(left_);
    if (id == Vocabulary::kNone)
      raise(ErrorCode::kCorruptFile,
            "[tokenizer] {}: merge {} {}: expected a token in the vocabulary, it makes none", source_,
            line_number, quote(line));
    if (id != next_id_)
      raise(ErrorCode::kCorruptFile,
            "[tokenizer] {}: merge {} {}: expected to make token {}, got {}. Hint: the ids of Hastings are "
            "the order of its "
            "merges",
            source_, line_number, quote(line), next_id_, id);
    ++next_id_;
  }

  void check_end() const {
    const int64_t n_mergeable = vocabulary_.n_tokens() - static_cast<int64_t>(kSpecialTokenNames.size());
    if (next_id_ != n_mergeable)
      raise(ErrorCode::kCorruptFile, "[tokenizer] {}: expected {} merges for {} mergeable tokens, got {}",
            source_, n_mergeable - kNumBytes, n_mergeable, next_id_ - kNumBytes);
  }

 private:
  static constexpr int32_t kNumBytes = 256;

  void take_token(std::string& bytes, std::string_view text, int64_t line_number) const {
    if (!decode_byte_alphabet(bytes, text) || vocabulary_.find(bytes) == Vocabulary::kNone)
      raise(ErrorCode::kCorruptFile, "[tokenizer] {}: merge {}: expected tokens of the vocabulary, got {}",
            source_, line_number, quote(text));
  }

  const Vocabulary& vocabulary_;
  const std::string& source_;
  std::string left_;
  std::string right_;
  int32_t next_id_ = kNumBytes;
};

}  // namespace

void check_merges(const Vocabulary& vocabulary, const NamedText& merges) {
  std::string_view rest = merges.text;
  if (rest.substr(0, 8) == "#version") take_line(rest);
  MergeChecker checker(vocabulary, merges.name);
  for (int64_t line_number = 1; !rest.empty(); ++line_number) checker.check(take_line(rest), line_number);
  checker.check_end();
}

Vocabulary read_vocab_and_merges(const NamedText& vocab, const NamedText& merges) {
  VocabVisitor visitor(vocab.name);
  read_json_events(vocab.text, vocab.name, visitor);
  Vocabulary vocabulary = std::move(visitor).build();
  check_merges(vocabulary, merges);
  return vocabulary;
}

}  // namespace lille
