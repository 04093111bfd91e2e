#include "lille/tokenizer.h"

#include <mutex>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "io/folder_files.h"
#include "io/gguf.h"
#include "tokenizer/bpe.h"
#include "tokenizer/quote.h"
#include "tokenizer/split.h"
#include "tokenizer/token_trie.h"
#include "tokenizer/tokenizer_files.h"
#include "tokenizer/vocabulary.h"
#include "tokenizer/vocabulary_files.h"

namespace lille {
namespace {

/// Far above the 2.3 MB of the largest form.
constexpr std::size_t kMaxTokenizerBytes = std::size_t{64} << 20;

/// A special token's name inside a text.
struct SpecialMatch {
  std::size_t begin;
  SpecialToken token;
};

/// The first special token's name at or after `begin`.
std::optional<SpecialMatch> find_special(std::string_view text, std::size_t begin) noexcept {
  for (std::size_t pos = text.find("<|", begin); pos != std::string_view::npos;
       pos = text.find("<|", pos + 1))
    for (std::size_t token_idx = 0; token_idx < kSpecialTokenNames.size(); ++token_idx)
      if (text.substr(pos).starts_with(kSpecialTokenNames[token_idx]))
        return SpecialMatch{pos, static_cast<SpecialToken>(token_idx)};
  return std::nullopt;
}

void append_ordinary(std::vector<int32_t>& ids, std::string_view text, const Vocabulary& vocabulary) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = piece_end(text, begin);
    const std::string_view piece(text.data() + begin, end - begin);
    const int32_t id = vocabulary.find(piece);
    if (id != Vocabulary::kNone)
      ids.push_back(id);
    else
      append_bpe(ids, piece, vocabulary);
    begin = end;
  }
}

void append_stretch(std::vector<int32_t>& ids, std::string_view text, const EncodeOptions& options,
                    const Vocabulary& vocabulary) {
  if (!options.add_prefix_space || text.empty() || text.front() == ' ')
    return append_ordinary(ids, text, vocabulary);
  append_ordinary(ids, ' ' + std::string(text), vocabulary);
}

bool has_tokens(const std::filesystem::path& gguf) noexcept {
  try {
    return GgufFile(gguf).value("tokenizer.ggml.tokens") != nullptr;
  } catch (const std::exception&) {
    return false;
  }
}

// The folder whose files belong to a model: itself, or the one in which the model's file stands.
std::filesystem::path folder_of(const std::filesystem::path& model) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(model, ignored) ? model.parent_path() : model;
}

}  // namespace

struct Tokenizer::Tables {
  explicit Tables(Vocabulary of) : vocabulary(std::move(of)) {}

  Vocabulary vocabulary;
  mutable std::once_flag trie_is_made;
  mutable std::optional<TokenTrie> trie;
};

Tokenizer::Tokenizer(std::shared_ptr<const Tables> tables) : tables_(std::move(tables)) {}

Tokenizer Tokenizer::load(const std::filesystem::path& model) {
  if (GgufFile::is_gguf(model)) return from_gguf(model);
  const std::filesystem::path folder = folder_of(model);
  std::error_code ignored;
  const auto has = [&](const char* name) { return std::filesystem::exists(folder / name, ignored); };
  if (has(kVocabFile) && has(kMergesFile))
    return from_vocab_and_merges(folder / kVocabFile, folder / kMergesFile);
  if (has(kTokenizerFile)) return from_tokenizer_json(folder / kTokenizerFile);
  if (has(kHastingsFile)) return from_pickle(folder / kHastingsFile);
  raise(ErrorCode::kNotFound,
        "[tokenizer] {}: expected vocab.json and merges.txt, or tokenizer.json, or Hastings.pkl, found none "
        "of the three. Hint: a .pt file holds no tokenizer; put the author's Hastings.pkl beside it",
        printable_path(folder));
}

bool Tokenizer::exists(const std::filesystem::path& model) noexcept {
  if (GgufFile::is_gguf(model)) return has_tokens(model);
  const std::filesystem::path folder = folder_of(model);
  std::error_code ignored;
  const auto has = [&](const char* name) { return std::filesystem::exists(folder / name, ignored); };
  return (has(kVocabFile) && has(kMergesFile)) || has(kTokenizerFile) || has(kHastingsFile);
}

Tokenizer Tokenizer::from_vocab_and_merges(const std::filesystem::path& vocab,
                                           const std::filesystem::path& merges) {
  const std::string vocab_text = read_text_file(vocab, kMaxTokenizerBytes);
  const std::string merges_text = read_text_file(merges, kMaxTokenizerBytes);
  return Tokenizer(std::make_shared<const Tables>(
      read_vocab_and_merges({vocab_text, printable_path(vocab)}, {merges_text, printable_path(merges)})));
}

Tokenizer Tokenizer::from_tokenizer_json(const std::filesystem::path& path) {
  const std::string text = read_text_file(path, kMaxTokenizerBytes);
  return Tokenizer(std::make_shared<const Tables>(read_tokenizer_json({text, printable_path(path)})));
}

Tokenizer Tokenizer::from_pickle(const std::filesystem::path& path) {
  const std::string text = read_text_file(path, kMaxTokenizerBytes);
  return Tokenizer(std::make_shared<const Tables>(read_hastings_pickle({text, printable_path(path)})));
}

void Tokenizer::save(const std::filesystem::path& folder, const SaveTokenizerOptions& options) const {
  save_tokenizer_files(folder, tables_->vocabulary, options);
}

Tokenizer Tokenizer::from_gguf(const std::filesystem::path& path) {
  return Tokenizer(std::make_shared<const Tables>(read_gguf_vocabulary(GgufFile(path))));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  const Vocabulary& vocabulary = tables_->vocabulary;
  std::vector<int32_t> ids;
  // English has four to five bytes a token.
  ids.reserve(text.size() / 4 + 8);
  std::size_t begin = 0;
  if (options.parse_special) {
    while (const std::optional<SpecialMatch> match = find_special(text, begin)) {
      append_stretch(ids, text.substr(begin, match->begin - begin), options, vocabulary);
      ids.push_back(vocabulary.special_id(match->token));
      begin = match->begin + kSpecialTokenNames[static_cast<std::size_t>(match->token)].size();
    }
  }
  append_stretch(ids, text.substr(begin), options, vocabulary);
  return ids;
}

std::vector<int32_t> Tokenizer::encode_piece(std::string_view bytes) const {
  std::vector<int32_t> ids;
  append_bpe(ids, bytes, tables_->vocabulary);
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string text;
  for (const int32_t id : ids) text += token_bytes(id);
  return text;
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  if (id < 0 || id >= vocab_size())
    raise(ErrorCode::kInvalidArgument, "[decode] token id: expected 0 to {}, got {}", vocab_size() - 1, id);
  return tables_->vocabulary.bytes(id);
}

std::vector<int32_t> Tokenizer::apply_chat_template(std::span<const ChatMessage> messages) const {
  std::vector<int32_t> ids = {bos_token_id()};
  for (std::size_t message_idx = 0; message_idx < messages.size(); ++message_idx) {
    const ChatMessage& message = messages[message_idx];
    const bool from_user = message.role == "user";
    if (!from_user && message.role != "assistant")
      raise(ErrorCode::kInvalidArgument,
            "[chat] message {}: expected the role \"user\" or \"assistant\", got {}. Hint: Lille has no "
            "system role",
            message_idx, quote(message.role));
    if (from_user) ids.push_back(user_token_id());
    append_ordinary(ids, message.content, tables_->vocabulary);
    ids.push_back(from_user ? assistant_token_id() : eos_token_id());
  }
  return ids;
}

std::shared_ptr<const TokenTrie> TokenTrie::of(const Tokenizer& tokenizer) {
  const std::shared_ptr<const Tokenizer::Tables>& tables = tokenizer.tables_;
  std::call_once(tables->trie_is_made, [&] { tables->trie.emplace(tables->vocabulary); });
  return {tables, &*tables->trie};
}

int64_t Tokenizer::vocab_size() const noexcept { return tables_->vocabulary.n_tokens(); }

bool Tokenizer::is_special(int32_t id) const noexcept { return tables_->vocabulary.is_special(id); }

int32_t Tokenizer::pad_token_id() const noexcept {
  return tables_->vocabulary.special_id(SpecialToken::kPad);
}
int32_t Tokenizer::eos_token_id() const noexcept {
  return tables_->vocabulary.special_id(SpecialToken::kEndOfText);
}
int32_t Tokenizer::assistant_token_id() const noexcept {
  return tables_->vocabulary.special_id(SpecialToken::kAssistant);
}
int32_t Tokenizer::user_token_id() const noexcept {
  return tables_->vocabulary.special_id(SpecialToken::kUser);
}
int32_t Tokenizer::bos_token_id() const noexcept {
  return tables_->vocabulary.special_id(SpecialToken::kStartOfText);
}

}  // namespace lille
