#include <string>
#include <utility>

#include "base/check.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/json_events.h"
#include "tokenizer/quote.h"
#include "tokenizer/vocabulary_files.h"

namespace lille {
namespace {

/// The parts of a tokenizer.json that decide ids: `model.vocab`, `model.merges`, `added_tokens` and the types
/// of the stages before the model. Everything else is passed over.
class TokenizerJsonVisitor : public JsonVisitor {
 public:
  explicit TokenizerJsonVisitor(const std::string& source) : source_(source), builder_(source) {}

  void on_scalar(const JsonPath& path, const JsonScalar& value) override {
    if (path.is({"model", "vocab", path.key()}))
      add_vocab_entry(path.key(), value);
    else if (path.is({"model", "merges", JsonPath::kElement}))
      add_merge(text_of(value, "model.merges"));
    else if (path.is({"model", "merges", JsonPath::kElement, JsonPath::kElement}))
      add_merge_part(text_of(value, "model.merges"));
    else if (path.is({"added_tokens", JsonPath::kElement, "content"}))
      added_content_ = text_of(value, "added_tokens content");
    else if (path.is({"added_tokens", JsonPath::kElement, "id"}))
      added_id_ = integer_of(value, "added_tokens id");
    else
      check_setting(path, value);
  }

  void on_begin(const JsonPath& path, bool is_array) override {
    if (path.depth() == 0 && is_array) raise_type("the file", "an object", "an array");
    if (path.is({"model", "vocab"})) {
      if (is_array) raise_type("model.vocab", "an object", "an array");
      has_vocab_ = true;
    } else if (path.is({"model", "merges"})) {
      if (!is_array) raise_type("model.merges", "an array", "an object");
      has_merges_ = true;
    } else if (path.is({"model", "vocab", path.key()})) {
      raise_type("model.vocab " + quote(path.key()), "an integer id", is_array ? "an array" : "an object");
    } else if (path.is({"normalizer"})) {
      raise(ErrorCode::kUnsupported,
            "[tokenizer] {}: normalizer: expected null, as Hastings has it, got an object", source_);
    } else if (path.is({"added_tokens", JsonPath::kElement})) {
      added_content_.clear();
      added_id_ = -1;
    }
  }

  void on_end(const JsonPath& path, bool is_array) override {
    if (path.is({"added_tokens", JsonPath::kElement})) {
      builder_.add_special(added_content_, added_id_);
    } else if (path.is({"model", "merges", JsonPath::kElement}) && is_array) {
      if (n_merge_parts_ != 2)
        raise_type("model.merges " + quote(merge_), "two tokens", std::to_string(n_merge_parts_));
      add_merge(std::exchange(merge_, {}));
      n_merge_parts_ = 0;
    }
  }

  Vocabulary build() && {
    if (!has_vocab_) raise_type("model.vocab", "an object from tokens to ids", "none");
    if (!has_merges_) raise_type("model.merges", "an array", "none");
    Vocabulary vocabulary = std::move(builder_).build();
    check_merges(vocabulary, {merge_lines_, source_ + " model.merges"});
    return vocabulary;
  }

 private:
  [[noreturn]] void raise_type(std::string_view what, std::string_view expected,
                               std::string_view found) const {
    raise(ErrorCode::kCorruptFile, "[tokenizer] {}: {}: expected {}, got {}", source_, what, expected, found);
  }
  std::string_view text_of(const JsonScalar& value, std::string_view what) const {
    if (value.kind != JsonScalar::Kind::kString) raise_type(what, "a string", value.kind_name());
    return value.text;
  }
  int64_t integer_of(const JsonScalar& value, std::string_view what) const {
    if (value.kind != JsonScalar::Kind::kInteger) raise_type(what, "an integer", value.kind_name());
    return value.integer;
  }

  void add_vocab_entry(std::string_view token, const JsonScalar& value) {
    const std::string what = value.kind == JsonScalar::Kind::kInteger ? "" : "model.vocab " + quote(token);
    const int64_t id = integer_of(value, what);
    if (special_token_from_name(token)) {
      builder_.add_special(token, id);
      return;
    }
    if (!decode_byte_alphabet(bytes_, token))
      raise_type("model.vocab " + quote(token), "characters of GPT-2's byte alphabet", "another");
    builder_.add_token(bytes_, id);
  }

  /// Merges stand in the file as "a b" or as ["a", "b"]; they are checked once the vocabulary is whole.
  void add_merge(std::string_view merge) {
    if (merge.find('\n') != std::string_view::npos)
      raise_type("model.merges " + quote(merge), "two tokens with a space between them", "a line break");
    merge_lines_.append(merge) += '\n';
  }
  void add_merge_part(std::string_view token) {
    if (n_merge_parts_++ > 0) merge_ += ' ';
    merge_ += token;
  }

  void check_setting(const JsonPath& path, const JsonScalar& value) const {
    if (path.depth() == 0) raise_type("the file", "an object", value.kind_name());
    const std::string_view wanted = path.is({"model", "type"})           ? "BPE"
                                    : path.is({"pre_tokenizer", "type"}) ? "ByteLevel"
                                                                         : "";
    if (!wanted.empty() && text_of(value, path.key()) != wanted)
      raise(ErrorCode::kUnsupported, "[tokenizer] {}: {}: expected {}, as Hastings has it, got {}", source_,
            path.is({"model", "type"}) ? "model.type" : "pre_tokenizer.type", wanted, quote(value.text));
    if (path.is({"normalizer"}) && value.kind != JsonScalar::Kind::kNull)
      raise_type("normalizer", "null", value.kind_name());
    if (path.is({"model", "vocab"})) raise_type("model.vocab", "an object", value.kind_name());
    if (path.is({"model", "merges"})) raise_type("model.merges", "an array", value.kind_name());
  }

  const std::string& source_;
  VocabularyBuilder builder_;
  std::string bytes_;
  std::string merge_;
  std::string merge_lines_;
  int n_merge_parts_ = 0;
  std::string added_content_;
  int64_t added_id_ = -1;
  bool has_vocab_ = false;
  bool has_merges_ = false;
};

}  // namespace

Vocabulary read_tokenizer_json(const NamedText& file) {
  TokenizerJsonVisitor visitor(file.name);
  read_json_events(file.text, file.name, visitor);
  return std::move(visitor).build();
}

}  // namespace lille
