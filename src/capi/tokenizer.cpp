#include "capi/arguments.h"
#include "capi/error.h"
#include "capi/handles.h"

namespace lille::capi {

lille_tokenizer load_tokenizer(const std::filesystem::path& model) {
  lille_tokenizer loaded = {Tokenizer::load(model), std::nullopt};
  try {
    check_chat_template(model);
  } catch (const Error& error) {
    loaded.template_fault = error;
  }
  return loaded;
}

namespace {

constexpr std::string_view kChat = "lille_apply_chat_template";

// What a caller gets as an array of its own.
void give_tokens(std::span<const int32_t> ids, int32_t*& tokens, int64_t& n_tokens) {
  tokens = allocated_copy(ids);
  n_tokens = static_cast<int64_t>(ids.size());
}

std::vector<int32_t> prompt_of(const lille_model& model, const lille_options& options,
                               std::string_view text) {
  const Tokenizer& tokenizer = tokenizer_of(model, "lille_encode_prompt").tokenizer;
  std::vector<int32_t> ids = tokenizer.encode(text);
  if (begins_with_bos(options.generation, model.defaults)) ids.insert(ids.begin(), tokenizer.bos_token_id());
  if (ids.empty())
    raise(
        ErrorCode::kInvalidArgument,
        "[lille_encode_prompt] text: expected some, got none without <|startoftext|>. Hint: set bos to true");
  return ids;
}

std::vector<int32_t> chat_of(const lille_tokenizer& tokenizer, std::span<const lille_chat_message> messages) {
  if (tokenizer.template_fault) throw *tokenizer.template_fault;
  std::vector<ChatMessage> turns;
  for (std::size_t idx = 0; idx < messages.size(); ++idx) {
    const auto part = [&](const char* text, std::string_view name) {
      return std::string(text_of(text, fmt::format("{}: messages[{}].{}", kChat, idx, name)));
    };
    turns.push_back({part(messages[idx].role, "role"), part(messages[idx].content, "content")});
  }
  return tokenizer.tokenizer.apply_chat_template(turns);
}

}  // namespace
}  // namespace lille::capi

namespace capi = lille::capi;

lille_status lille_tokenizer_load(const char* path, lille_tokenizer** tokenizer, lille_error* error) {
  capi::clear(tokenizer);
  return capi::guarded(error, [&] {
    lille_tokenizer*& result = capi::needed(tokenizer, "lille_tokenizer_load: tokenizer");
    result = new lille_tokenizer(capi::load_tokenizer(capi::text_of(path, "lille_tokenizer_load: path")));
  });
}

lille_status lille_tokenizer_of_model(const lille_model* model, lille_tokenizer** tokenizer,
                                      lille_error* error) {
  capi::clear(tokenizer);
  return capi::guarded(error, [&] {
    lille_tokenizer*& result = capi::needed(tokenizer, "lille_tokenizer_of_model: tokenizer");
    result = new lille_tokenizer(capi::tokenizer_of(capi::needed(model, "lille_tokenizer_of_model: model"),
                                                    "lille_tokenizer_of_model"));
  });
}

void lille_tokenizer_free(lille_tokenizer* tokenizer) { delete tokenizer; }

int64_t lille_tokenizer_vocab_size(const lille_tokenizer* tokenizer) {
  return tokenizer == nullptr ? -1 : tokenizer->tokenizer.vocab_size();
}

int32_t lille_tokenizer_special_token(const lille_tokenizer* tokenizer, const char* name) {
  if (tokenizer == nullptr || name == nullptr) return -1;
  const lille::Tokenizer& known = tokenizer->tokenizer;
  for (const int32_t id : {known.pad_token_id(), known.eos_token_id(), known.assistant_token_id(),
                           known.user_token_id(), known.bos_token_id()})
    if (known.token_bytes(id) == name) return id;
  return -1;
}

lille_status lille_tokenize(const lille_tokenizer* tokenizer, const char* text, int64_t n_bytes,
                            int32_t** tokens, int64_t* n_tokens, lille_error* error) {
  capi::clear(tokens, n_tokens);
  return capi::guarded(error, [&] {
    int32_t*& result = capi::needed(tokens, "lille_tokenize: tokens");
    int64_t& n_result = capi::needed(n_tokens, "lille_tokenize: n_tokens");
    const lille_tokenizer& known = capi::needed(tokenizer, "lille_tokenize: tokenizer");
    capi::give_tokens(known.tokenizer.encode(capi::text_of(text, n_bytes, "lille_tokenize: text")), result,
                      n_result);
  });
}

lille_status lille_detokenize(const lille_tokenizer* tokenizer, const int32_t* tokens, int64_t n_tokens,
                              char** text, int64_t* n_bytes, lille_error* error) {
  capi::clear(text, n_bytes);
  return capi::guarded(error, [&] {
    char*& result = capi::needed(text, "lille_detokenize: text");
    const lille_tokenizer& known = capi::needed(tokenizer, "lille_detokenize: tokenizer");
    const std::string bytes =
        known.tokenizer.decode(capi::array_of(tokens, n_tokens, "lille_detokenize: tokens"));
    result = capi::allocated_copy(std::span<const char>(bytes));
    if (n_bytes != nullptr) *n_bytes = static_cast<int64_t>(bytes.size());
  });
}

lille_status lille_encode_prompt(const lille_model* model, const lille_options* options, const char* text,
                                 int64_t n_bytes, int32_t** tokens, int64_t* n_tokens, lille_error* error) {
  capi::clear(tokens, n_tokens);
  return capi::guarded(error, [&] {
    int32_t*& result = capi::needed(tokens, "lille_encode_prompt: tokens");
    int64_t& n_result = capi::needed(n_tokens, "lille_encode_prompt: n_tokens");
    const lille_model& known = capi::needed(model, "lille_encode_prompt: model");
    capi::give_tokens(capi::prompt_of(known, capi::options_or_none(options),
                                      capi::text_of(text, n_bytes, "lille_encode_prompt: text")),
                      result, n_result);
  });
}

lille_status lille_apply_chat_template(const lille_tokenizer* tokenizer, const lille_chat_message* messages,
                                       int64_t n_messages, int32_t** tokens, int64_t* n_tokens,
                                       lille_error* error) {
  capi::clear(tokens, n_tokens);
  return capi::guarded(error, [&] {
    int32_t*& result = capi::needed(tokens, "lille_apply_chat_template: tokens");
    int64_t& n_result = capi::needed(n_tokens, "lille_apply_chat_template: n_tokens");
    const lille_tokenizer& known = capi::needed(tokenizer, "lille_apply_chat_template: tokenizer");
    capi::give_tokens(
        capi::chat_of(known, capi::array_of(messages, n_messages, "lille_apply_chat_template: messages")),
        result, n_result);
  });
}
