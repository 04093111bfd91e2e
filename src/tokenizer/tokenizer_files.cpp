#include "tokenizer/tokenizer_files.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/file.h"
#include "io/folder_files.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/merges.h"

namespace lille {
namespace {

using Json = nlohmann::ordered_json;

/// Everything that the files say of the tokens.
struct Tokens {
  std::vector<std::string> texts;  ///< By id: in the byte alphabet, special tokens by name.
  std::vector<Merge> merges;
  std::vector<int32_t> special_ids;  ///< Ascending.
};

Tokens tokens_of(const Vocabulary& vocabulary) {
  Tokens tokens = {.texts = {}, .merges = merges_of(vocabulary), .special_ids = {}};
  for (int32_t id = 0; id < vocabulary.n_tokens(); ++id) {
    const bool is_special = vocabulary.is_special(id);
    if (is_special) tokens.special_ids.push_back(id);
    tokens.texts.push_back(is_special ? std::string(vocabulary.bytes(id))
                                      : encode_byte_alphabet(vocabulary.bytes(id)));
  }
  return tokens;
}

std::string name_of(SpecialToken token) {
  return std::string(kSpecialTokenNames[static_cast<std::size_t>(token)]);
}

/// One object from tokens to ids. The whole as one text: a JSON library searches an object for each new key.
std::string vocab_json(const Tokens& tokens) {
  std::string text = "{";
  for (std::size_t id = 0; id < tokens.texts.size(); ++id)
    text += fmt::format("{}{}: {}", id == 0 ? "" : ", ", Json(tokens.texts[id]).dump(), id);
  return text + "}";
}

std::string merges_txt(const Tokens& tokens) {
  std::string text = "#version: 0.2";
  for (const Merge& merge : tokens.merges)
    text += fmt::format("\n{} {}", tokens.texts[static_cast<std::size_t>(merge.left)],
                        tokens.texts[static_cast<std::size_t>(merge.right)]);
  return text;
}

std::string merges_json(const Tokens& tokens) {
  Json merges = Json::array();
  for (const Merge& merge : tokens.merges)
    merges.push_back({tokens.texts[static_cast<std::size_t>(merge.left)],
                      tokens.texts[static_cast<std::size_t>(merge.right)]});
  return merges.dump();
}

Json added_token(const Tokens& tokens, int32_t id) {
  return {{"content", tokens.texts[static_cast<std::size_t>(id)]},
          {"single_word", false},
          {"lstrip", false},
          {"rstrip", false},
          {"normalized", false},
          {"special", true}};
}

/// The form of Hugging Face's tokenizers library. ByteLevel's pattern cuts a text as tiktoken's does.
std::string tokenizer_json(const Tokens& tokens) {
  Json added = Json::array();
  for (const int32_t id : tokens.special_ids) {
    Json entry = {{"id", id}};
    entry.update(added_token(tokens, id));
    added.push_back(std::move(entry));
  }
  const Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  return fmt::format(
      R"({{"version": "1.0", "truncation": null, "padding": null, "added_tokens": {}, "normalizer": null, )"
      R"("pre_tokenizer": {}, "post_processor": {}, "decoder": {}, "model": {{"type": "BPE", "dropout": null, )"
      R"("unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false, )"
      R"("byte_fallback": false, "ignore_merges": false, "vocab": {}, "merges": {}}}}})",
      added.dump(), byte_level.dump(), byte_level.dump(), byte_level.dump(), vocab_json(tokens),
      merges_json(tokens));
}

Json special_tokens_map() {
  return {{"bos_token", name_of(SpecialToken::kStartOfText)},
          {"eos_token", name_of(SpecialToken::kEndOfText)},
          {"pad_token", name_of(SpecialToken::kPad)},
          {"unk_token", name_of(SpecialToken::kEndOfText)},
          {"additional_special_tokens", {name_of(SpecialToken::kAssistant), name_of(SpecialToken::kUser)}}};
}

Json tokenizer_config(const Tokens& tokens, const SaveTokenizerOptions& options) {
  Json config = {{"tokenizer_class", "GPT2Tokenizer"},
                 {"model_max_length", options.model_max_length},
                 {"add_prefix_space", false},
                 {"clean_up_tokenization_spaces", false},
                 {"errors", "replace"}};
  if (options.add_bos_token) config["add_bos_token"] = *options.add_bos_token;
  config.update(special_tokens_map());
  for (const int32_t id : tokens.special_ids)
    config["added_tokens_decoder"][std::to_string(id)] = added_token(tokens, id);
  config["chat_template"] = kLilleChatTemplate;
  return config;
}

void write(const std::filesystem::path& path, const std::string& text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace

void save_tokenizer_files(const std::filesystem::path& folder, const Vocabulary& vocabulary,
                          const SaveTokenizerOptions& options) {
  const Tokens tokens = tokens_of(vocabulary);
  write(folder / kVocabFile, vocab_json(tokens));
  write(folder / kMergesFile, merges_txt(tokens));
  write(folder / kTokenizerFile, tokenizer_json(tokens));
  write(folder / kTokenizerConfigFile, tokenizer_config(tokens, options).dump(2) + "\n");
  write(folder / kSpecialTokensMapFile, special_tokens_map().dump(2) + "\n");
}

}  // namespace lille
