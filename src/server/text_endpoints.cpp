#include "server/text_endpoints.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/text.h"
#include "io/json.h"
#include "lille/multiple_choice.h"

namespace lille {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr int64_t kLensTop = 5;
// In one reply: about 6 MB of text.
constexpr int64_t kMaxPredictions = 1 << 16;
constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

ApiReply reply_with(const ordered_json& body, std::span<const std::string> ignored) {
  ApiReply reply;
  reply.body = json_line(body);
  tell_ignored(reply, ignored);
  return reply;
}

const json& needed(Fields& fields, std::string_view name, std::string_view expected) {
  const json* value = fields.find(name);
  if (value == nullptr) refuse_field(name, expected, "none");
  return *value;
}

bool read_bos(Fields& fields, const ServedModel& model) {
  return fields.flag("bos", model.defaults.add_bos_token);
}

// The text of a request is a prompt or a conversation.
void check_one_text(const json* messages, const json* prompt) {
  if ((messages == nullptr) != (prompt == nullptr)) return;
  refuse_field("prompt", "a text, or messages", prompt == nullptr ? "neither" : "both");
}

EncodedContinuation read_continuation(const json& prompt, const json& continuation, bool bos,
                                      const ServedModel& model) {
  if (prompt.is_string() && continuation.is_string())
    return encode_continuation(model.tokenizer, prompt.get_ref<const std::string&>(),
                               continuation.get_ref<const std::string&>(), bos);
  if (prompt.is_string() != continuation.is_string())
    refuse_field("continuations",
                 prompt.is_string() ? "texts, as prompt is one" : "token ids, as prompt has them",
                 describe(continuation));
  return {read_prompt(prompt, "prompt", bos, model).tokens,
          read_prompt(continuation, "continuations", false, model).tokens};
}

ordered_json score_json(const ReadingResult& result, std::size_t index) {
  double sum = 0;
  bool is_greedy = true;
  ordered_json tokens = ordered_json::array();
  ordered_json logprobs = ordered_json::array();
  for (const ScoredToken& scored : result.scored) {
    sum += scored.token.logprob;
    is_greedy = is_greedy && scored.is_likeliest;
    tokens.push_back(scored.token.token);
    logprobs.push_back(finite_logprob(scored.token.logprob));
  }
  return {{"object", "score"},           {"index", index},
          {"log_likelihood", sum},       {"is_greedy", is_greedy},
          {"tokens", std::move(tokens)}, {"token_logprobs", std::move(logprobs)}};
}

// Numbers as OpenAI's clients ask for them: float32, little-endian, in base64.
std::string base64_of(std::span<const float> values) {
  static_assert(std::endian::native == std::endian::little);
  std::string bytes(values.size_bytes(), '\0');
  std::memcpy(bytes.data(), values.data(), values.size_bytes());
  std::string text;
  for (std::size_t begin = 0; begin < bytes.size(); begin += 3) {
    const std::size_t n_bytes = std::min<std::size_t>(3, bytes.size() - begin);
    uint32_t group = 0;
    for (std::size_t idx = 0; idx < 3; ++idx)
      group = group << 8 | (idx < n_bytes ? static_cast<unsigned char>(bytes[begin + idx]) : 0);
    for (std::size_t idx = 0; idx < 4; ++idx)
      text += idx <= n_bytes ? kBase64[group >> (18 - 6 * idx) & 63] : '=';
  }
  return text;
}

bool read_wants_base64(Fields& fields) {
  const std::string format = fields.text("encoding_format").value_or("float");
  if (format != "float" && format != "base64")
    refuse_field("encoding_format", "\"float\" or \"base64\"", fmt::format("\"{}\"", printable(format)));
  return format == "base64";
}

}  // namespace

ApiReply tokenize_text(const Exchange& exchange, const json& body) {
  const ServedModel& model = exchange.model;
  Fields fields(body);
  check_model_field(fields, model);
  const bool bos = read_bos(fields, model);
  const json* messages = fields.find("messages");
  const json* prompt = fields.find("prompt");
  check_one_text(messages, prompt);
  std::vector<int32_t> tokens;
  if (messages != nullptr) {
    tokens = read_messages(*messages, model);
  } else {
    if (!prompt->is_string()) refuse_field("prompt", "a text", describe(*prompt));
    tokens = model.tokenizer.encode(prompt->get_ref<const std::string&>());
    if (bos) tokens.insert(tokens.begin(), model.tokenizer.bos_token_id());
  }
  const std::vector<std::string> ignored = unknown_fields(fields, model);
  return reply_with({{"count", tokens.size()}, {"max_model_len", model.args.block_size}, {"tokens", tokens}},
                    ignored);
}

ApiReply detokenize_ids(const Exchange& exchange, const json& body) {
  const ServedModel& model = exchange.model;
  Fields fields(body);
  check_model_field(fields, model);
  const json& ids = needed(fields, "tokens", "an array of token ids");
  if (!ids.is_array()) refuse_field("tokens", "an array of token ids", describe(ids));
  std::vector<int32_t> tokens;
  if (!ids.empty()) tokens = read_prompt(ids, "tokens", false, model).tokens;
  const std::vector<std::string> ignored = unknown_fields(fields, model);
  return reply_with({{"prompt", model.tokenizer.decode(tokens)}}, ignored);
}

ApiReply score_continuations(const Exchange& exchange, const json& body) {
  const ServedModel& model = exchange.model;
  Fields fields(body);
  check_model_field(fields, model);
  const json& prompt = needed(fields, "prompt", "a text or an array of token ids");
  const json& all = needed(fields, "continuations", "texts or arrays of token ids");
  if (!prompt.is_string() && !prompt.is_array())
    refuse_field("prompt", "a text or an array of token ids", describe(prompt));
  // Without more said, a text is read as lm-evaluation-harness has it read.
  const bool bos = fields.flag("bos", false);
  const std::vector<std::string> ignored = unknown_fields(fields, model);
  std::vector<EncodedContinuation> encoded;
  for (const json* one : prompt_list(all, "continuations", kMaxInputs)) {
    encoded.push_back(read_continuation(prompt, *one, bos, model));
    if (encoded.back().continuation.empty()) refuse_field("continuations", "at least one token each", "none");
    std::vector<int32_t> together = encoded.back().context;
    together.insert(together.end(), encoded.back().continuation.begin(), encoded.back().continuation.end());
    check_length(together, "prompt", model);
  }

  ordered_json data = ordered_json::array();
  for (std::size_t idx = 0; idx < encoded.size(); ++idx) {
    ReadingRequest reading;
    reading.tokens = encoded[idx].context;
    reading.first_scored = static_cast<int64_t>(reading.tokens.size());
    reading.tokens.insert(reading.tokens.end(), encoded[idx].continuation.begin(),
                          encoded[idx].continuation.end());
    Usage& usage = exchange.record->usage;
    usage.prompt_tokens += static_cast<int64_t>(reading.tokens.size());
    const ReadingResult result = read_text(exchange, std::move(reading));
    usage.cached_tokens += result.n_cached_tokens;
    data.push_back(score_json(result, idx));
  }
  return reply_with({{"object", "list"},
                     {"model", model.id},
                     {"data", std::move(data)},
                     {"usage", usage_json(exchange.record->usage)}},
                    ignored);
}

ApiReply embed_texts(const Exchange& exchange, const json& body) {
  const ServedModel& model = exchange.model;
  Fields fields(body);
  check_model_field(fields, model);
  const json& input = needed(fields, "input", "a text, token ids, or an array of either");
  const bool bos = read_bos(fields, model);
  const bool wants_base64 = read_wants_base64(fields);
  fields.accept("user");
  const std::optional<int64_t> dimensions = fields.number("dimensions", 1, 1'000'000);
  if (dimensions && *dimensions != model.args.n_embd)
    refuse_field("dimensions", fmt::format("{}, those of the model", model.args.n_embd),
                 fmt::to_string(*dimensions));
  const std::vector<std::string> ignored = unknown_fields(fields, model);
  std::vector<RequestPrompt> texts;
  for (const json* one : prompt_list(input, "input", kMaxInputs)) {
    texts.push_back(read_prompt(*one, "input", bos, model));
    check_length(texts.back().tokens, "input", model);
  }

  ordered_json data = ordered_json::array();
  for (std::size_t idx = 0; idx < texts.size(); ++idx) {
    exchange.record->usage.prompt_tokens += static_cast<int64_t>(texts[idx].tokens.size());
    const ReadingResult result =
        read_text(exchange, {.tokens = std::move(texts[idx].tokens), .wants_hidden = true});
    ordered_json item = {{"object", "embedding"}, {"index", idx}};
    if (wants_base64)
      item["embedding"] = base64_of(result.mean_hidden);
    else
      item["embedding"] = result.mean_hidden;
    data.push_back(std::move(item));
  }
  const int64_t n_tokens = exchange.record->usage.prompt_tokens;
  return reply_with({{"object", "list"},
                     {"data", std::move(data)},
                     {"model", model.id},
                     {"usage", {{"prompt_tokens", n_tokens}, {"total_tokens", n_tokens}}}},
                    ignored);
}

namespace {

// A text to be read: `prompt` or `messages`.
std::vector<int32_t> read_text_field(Fields& fields, bool bos, const ServedModel& model) {
  const json* messages = fields.find("messages");
  const json* prompt = fields.find("prompt");
  check_one_text(messages, prompt);
  return messages != nullptr ? read_messages(*messages, model)
                             : read_prompt(*prompt, "prompt", bos, model).tokens;
}

// Predictions after each token and block, so many that the whole reply has at most kMaxPredictions.
int64_t read_lens_top(Fields& fields, int64_t n_places) {
  const int64_t most = kMaxPredictions / n_places;
  const std::optional<int64_t> said = fields.number("top_logprobs", 1, kMaxTopLogprobs);
  if (most == 0)
    refuse_field("prompt", fmt::format("at most {} tokens times blocks", kMaxPredictions),
                 fmt::to_string(n_places));
  if (said && *said > most)
    refuse_field("top_logprobs",
                 fmt::format("at most {}, with which {} tokens times blocks have {} predictions", most,
                             n_places, most * n_places),
                 fmt::to_string(*said));
  return said.value_or(std::min(kLensTop, most));
}

ordered_json listed(int32_t token, const Tokenizer& tokenizer) {
  return {{"token", token_text(token, tokenizer)}, {"token_id", token}};
}

// (n_tokens) of one block: the likeliest next tokens after each token.
ordered_json predictions_json(const ReadingResult& read, std::size_t n_blocks, std::size_t block_idx,
                              const Tokenizer& tokenizer) {
  ordered_json all = ordered_json::array();
  for (std::size_t idx = block_idx; idx < read.lens.size(); idx += n_blocks) {
    ordered_json likeliest = ordered_json::array();
    for (const TokenLogprob& likely : read.lens[idx]) {
      likeliest.push_back(listed(likely.token, tokenizer));
      likeliest.back()["logprob"] = finite_logprob(likely.logprob);
    }
    all.push_back(std::move(likeliest));
  }
  return all;
}

// (n_head, n_keys) of one layer.
ordered_json attention_json(std::span<const float> weights, std::size_t n_keys) {
  ordered_json heads = ordered_json::array();
  for (; !weights.empty(); weights = weights.subspan(n_keys))
    heads.push_back(
        std::vector<float>(weights.begin(), weights.begin() + static_cast<std::ptrdiff_t>(n_keys)));
  return heads;
}

}  // namespace

ApiReply inspect_text(const Exchange& exchange, const json& body) {
  const ServedModel& model = exchange.model;
  Fields fields(body);
  check_model_field(fields, model);
  ReadingRequest reading;
  reading.tokens = read_text_field(fields, read_bos(fields, model), model);
  check_length(reading.tokens, "prompt", model);
  const auto n_tokens = static_cast<int64_t>(reading.tokens.size());
  const int64_t position = fields.number("position", 0, n_tokens - 1).value_or(n_tokens - 1);
  reading.attention_of = position;
  reading.lens_top = read_lens_top(fields, n_tokens * (model.args.n_layer + 1));
  const std::vector<std::string> ignored = unknown_fields(fields, model);

  ordered_json tokens = ordered_json::array();
  for (const int32_t token : reading.tokens) tokens.push_back(listed(token, model.tokenizer));
  exchange.record->usage.prompt_tokens = n_tokens;
  const ReadingResult read = read_text(exchange, std::move(reading));
  const auto n_layer = static_cast<std::size_t>(model.args.n_layer);
  const std::size_t layer_size = read.attention.size() / n_layer;
  ordered_json layers = ordered_json::array();
  for (std::size_t layer_idx = 0; layer_idx < n_layer; ++layer_idx)
    layers.push_back(
        {{"attention", attention_json(std::span(read.attention).subspan(layer_idx * layer_size, layer_size),
                                      static_cast<std::size_t>(position) + 1)},
         {"predictions", predictions_json(read, n_layer + 1, layer_idx + 1, model.tokenizer)}});
  return reply_with(
      {{"object", "inspection"},
       {"model", model.id},
       {"tokens", std::move(tokens)},
       {"position", position},
       {"embedding", {{"predictions", predictions_json(read, n_layer + 1, 0, model.tokenizer)}}},
       {"layers", std::move(layers)},
       {"usage", {{"prompt_tokens", n_tokens}, {"total_tokens", n_tokens}}}},
      ignored);
}

}  // namespace lille
