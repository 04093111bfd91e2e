#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lille {

/// How Tokenizer::encode reads a text.
struct EncodeOptions {
  /// Names such as `<|user|>` in the text become their ids; off, they are ordinary text.
  bool parse_special = false;
  /// Put a space before each stretch of text that does not begin with one, after special tokens too, as the
  /// Hugging Face export of the tokenizer asks for; the model was trained without.
  bool add_prefix_space = false;
};

/// One turn of a chat.
struct ChatMessage {
  std::string role;     ///< "user" or "assistant".
  std::string content;  ///< Always ordinary text: it can never become a control token.
};

/// What Tokenizer::save says beside the tokens.
struct SaveTokenizerOptions {
  int64_t model_max_length = 512;  ///< block_size of the model, tokens.
  std::optional<bool>
      add_bos_token;  ///< Whether `<|startoftext|>` comes first; empty: the file says nothing.
};

/// Hastings, Lille's tokenizer: byte-level byte-pair encoding by rank, with GPT-2's split pattern. Immutable
/// and shared by threads; a copy shares the tables. Source: Nikityyy/Hastings create_tokenizer.py;
/// openai/tiktoken.
class Tokenizer {
 public:
  /// Reads the tokenizer of a model, which Model::path names: that of a GGUF file from its metadata; that of
  /// a folder, or of the folder in which another file stands, from `vocab.json` and `merges.txt`, else
  /// `tokenizer.json`, else `Hastings.pkl`.
  /// @throws Error(kNotFound) that names the three forms if the folder has none of them; Error(kCorruptFile).
  static Tokenizer load(const std::filesystem::path& model);
  /// Whether `model` is a GGUF file with tokens, or its folder has one of the three forms.
  static bool exists(const std::filesystem::path& model) noexcept;

  /// Reads GPT-2's pair of files: tokens with their ids, and the merges in order of rank.
  /// @throws Error(kCorruptFile) that names the file and the entry.
  static Tokenizer from_vocab_and_merges(const std::filesystem::path& vocab,
                                         const std::filesystem::path& merges);
  /// Reads what transformers writes for a fast tokenizer.
  /// @throws Error(kCorruptFile) that names the file and the entry.
  static Tokenizer from_tokenizer_json(const std::filesystem::path& path);
  /// Reads the pickle as data: a dict of bytes, strings and ints; any opcode that could run code is refused.
  static Tokenizer from_pickle(const std::filesystem::path& path);
  /// Reads the tokens, types and merges of a GGUF file.
  /// @throws Error(kCorruptFile) that names the file and the key; Error(kUnsupported) for another tokenizer.
  static Tokenizer from_gguf(const std::filesystem::path& path);

  /// Writes the files in which transformers, mlx-lm and llama.cpp's converter look for a tokenizer, whatever
  /// this one was read from: `vocab.json`, `merges.txt`, `tokenizer.json`, `tokenizer_config.json` with the
  /// chat form as its template, `special_tokens_map.json`. A text is cut as tiktoken cuts it, without a space
  /// put before it. Each file appears whole or not at all.
  /// @throws Error(kNotFound | kIo) if the folder cannot be written to; Error(kUnsupported) for a vocabulary
  ///   that no list of merges can say.
  void save(const std::filesystem::path& folder, const SaveTokenizerOptions& options = {}) const;

  /// Text, or any bytes, to ids: tiktoken's, for every valid UTF-8 text. Bytes that are no UTF-8 are each a
  /// symbol of their own, so that decode(encode(x)) == x for every x. At most n log n in the length of the
  /// text.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;
  /// One piece without the split pattern: byte-pair encoding of the whole (tiktoken's encode_single_piece).
  std::vector<int32_t> encode_piece(std::string_view bytes) const;

  /// Ids to bytes. Special tokens give their names.
  /// @throws Error(kInvalidArgument) for an id outside the vocabulary.
  std::string decode(std::span<const int32_t> ids) const;
  /// The bytes of one token. @throws Error(kInvalidArgument)
  std::string_view token_bytes(int32_t id) const;

  /// A chat as the model was trained on it; after a last message from the user it ends where the assistant
  /// speaks:
  /// `<|startoftext|><|user|>Q<|assistant|>A<|endoftext|><|user|>Q<|assistant|>`.
  /// Control tokens come from this function only, never from a message's content, however it is split over
  /// messages.
  /// @throws Error(kInvalidArgument) for a role other than user and assistant.
  std::vector<int32_t> apply_chat_template(std::span<const ChatMessage> messages) const;

  /// Ids run from 0 to vocab_size() - 1.
  int64_t vocab_size() const noexcept;
  /// Whether an id is one of the five control tokens below.
  bool is_special(int32_t id) const noexcept;

  int32_t pad_token_id() const noexcept;        ///< `<|pad|>`
  int32_t eos_token_id() const noexcept;        ///< `<|endoftext|>`
  int32_t assistant_token_id() const noexcept;  ///< `<|assistant|>`
  int32_t user_token_id() const noexcept;       ///< `<|user|>`
  int32_t bos_token_id() const noexcept;        ///< `<|startoftext|>`

 private:
  struct Tables;
  explicit Tokenizer(std::shared_ptr<const Tables> tables);
  std::shared_ptr<const Tables> tables_;
  friend class StreamingDetokenizer;
  friend class TokenTrie;
};

/// Chats are written in Lille's form only (Tokenizer::apply_chat_template); a chat template beside a model,
/// in `chat_template.jinja`, tokenizer_config.json or a GGUF file, is compared with it and never run.
/// @param model  what Model::path names.
/// @throws Error(kUnsupported) that names the file if its template is another; Error(kCorruptFile) for a
///   malformed file.
void check_chat_template(const std::filesystem::path& model);

/// Turns ids into text as they come: only whole UTF-8 characters are given out, bytes that can become no
/// character any more are given out at once, and all pieces together equal Tokenizer::decode of all ids.
/// Source: the verbs of mlx_lm/tokenizer_utils.py StreamingDetokenizer.
class StreamingDetokenizer {
 public:
  /// Begins an empty text.
  explicit StreamingDetokenizer(Tokenizer tokenizer);

  /// Takes one id and returns what can be shown now.
  /// @throws Error(kInvalidArgument) for an id outside the vocabulary.
  std::string add_token(int32_t id);
  /// Ends the text: returns what was held back.
  std::string finalize();
  /// Forgets everything.
  void reset() noexcept;

 private:
  Tokenizer tokenizer_;
  std::string pending_;  ///< The beginning of a character, at most 3 bytes.
};

}  // namespace lille
