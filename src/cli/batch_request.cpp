#include "base/check.h"
#include "cli/answer.h"
#include "cli/batch.h"
#include "generate/options_json.h"
#include "io/json.h"
#include "io/json_text.h"
#include "lille/version.h"
#include "model/access.h"
#include "model/fingerprint.h"

namespace lille::cli {
namespace {

using nlohmann::json;

constexpr std::string_view kBlanks = " \t\r";
constexpr std::string_view kSchema = "json_schema";

const std::string& text_in(const json& object, const std::string& key, const std::string& where) {
  const auto found = object.find(key);
  if (found != object.end() && found->is_string()) return found->get_ref<const std::string&>();
  raise(ErrorCode::kInvalidArgument, "{}: expected a text, got {}", where + key,
        found == object.end() ? "none" : describe(*found));
}

std::vector<int32_t> chat_ids(const json& messages, const Tokenizer& tokenizer) {
  if (!messages.is_array() || messages.empty())
    raise(ErrorCode::kInvalidArgument, "messages: expected an array of objects with role and content, got {}",
          messages.is_array() ? "an empty one" : describe(messages));
  std::vector<ChatMessage> chat;
  for (std::size_t idx = 0; idx < messages.size(); ++idx) {
    const json& message = messages[idx];
    const std::string where = fmt::format("messages[{}]", idx);
    if (!message.is_object())
      raise(ErrorCode::kInvalidArgument, "{}: expected an object with role and content, got {}", where,
            describe(message));
    for (const auto& [key, value] : message.items())
      if (key != "role" && key != "content")
        raise(ErrorCode::kInvalidArgument, "{}: expected role and content, got {}", where, printable(key));
    chat.push_back({text_in(message, "role", where + "."), text_in(message, "content", where + ".")});
  }
  if (chat.back().role == "assistant")
    raise(ErrorCode::kInvalidArgument,
          "messages: expected the last of them from the user, got one from the "
          "assistant. Hint: there is nothing to answer");
  return tokenizer.apply_chat_template(chat);
}

// The text of any option, so that different values have different texts.
template <typename Value>
std::string value_text(const Value& value) {
  if constexpr (requires { value.has_value(); })
    return value ? "said " + value_text(*value) : "";
  else
    return json(value).dump(-1, ' ', false, json::error_handler_t::replace);
}

// Each piece with its length, so that the border between two of them counts.
void add(ContentHash& hash, std::string_view piece) {
  hash.update(fmt::format("{}:", piece.size()));
  hash.update(piece);
}

// What a folder or file says beside the weights, wherever and in whatever form it lies.
void add_defaults(ContentHash& hash, const GenerationDefaults& defaults) {
  const auto& [temperature, top_p, top_k, min_p, repetition_penalty, add_bos_token] = defaults;
  add(hash, json({temperature, top_p, top_k, min_p, repetition_penalty, add_bos_token}).dump());
}

void add_tokenizer(ContentHash& hash, const Tokenizer& tokenizer) {
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) add(hash, tokenizer.token_bytes(id));
}

}  // namespace

BatchInput::BatchInput(const std::string& path)
    : reader_(path == "-" ? LineReader(kMaxLineBytes) : LineReader(path, kMaxLineBytes)) {}

std::optional<LineReader::Line> BatchInput::next() {
  while (std::optional<LineReader::Line> line = reader_.next()) {
    add(hash_, line->text);
    if (line->is_too_long) add(hash_, "too long");
    if (line->text.find_first_not_of(kBlanks) != std::string::npos) return line;
  }
  return std::nullopt;
}

json parse_batch_line(const LineReader::Line& line) {
  const std::string where = fmt::format("line {}", line.number);
  if (line.is_too_long)
    raise(ErrorCode::kInvalidArgument, "[batch] {}: expected at most {} bytes, got more", where,
          BatchInput::kMaxLineBytes);
  try {
    json object = parse_json_object(line.text, {"batch", where});
    // As text, in which the names keep their order.
    const auto schema = object.find(kSchema);
    if (schema != object.end() && schema->is_object()) *schema = json_text_at(line.text, {&kSchema, 1});
    return object;
  } catch (const Error& error) {
    raise(ErrorCode::kInvalidArgument, "{}", error.what());
  }
}

BatchRequest read_batch_request(const json& object, const GenerationOptions& options,
                                const GenerationDefaults& defaults, const Tokenizer& tokenizer) {
  BatchRequest request = {{}, options};
  for (const auto& [key, value] : object.items()) {
    if (key == "id" || key == "prompt" || key == "messages") continue;
    if (!set_json_option(request.options, key, value))
      raise(ErrorCode::kInvalidArgument,
            "{}: unknown field, expected prompt or messages, id, or an option. Hint: options are those of "
            "lille batch --help with _ instead of -",
            printable(key));
  }
  const auto messages = object.find("messages");
  if ((messages != object.end()) == object.contains("prompt"))
    raise(ErrorCode::kInvalidArgument, "expected prompt or messages, one of them, got {}",
          messages == object.end() ? "none" : "both");
  if (messages == object.end()) {
    request.tokens = prompt_ids(text_in(object, "prompt", ""), request.options, defaults, tokenizer);
  } else {
    request.tokens = chat_ids(*messages, tokenizer);
    // As in a chat: the model was trained so, whatever the folder says of plain prompts.
    if (!request.options.bos.value_or(true)) request.tokens.erase(request.tokens.begin());
  }
  return request;
}

std::string settings_fingerprint(const GenerationOptions& options, const GenerationDefaults& defaults,
                                 const Tokenizer& tokenizer, const Session& session) {
  ContentHash hash;
  add(hash, LILLE_VERSION);
  visit_options(options, [&hash](const OptionSpec& spec, const auto& field) {
    if (spec.name == "seed") return;
    add(hash, spec.name);
    add(hash, value_text(field));
  });
  add_defaults(hash, defaults);
  add_tokenizer(hash, tokenizer);
  const Model& model = session.model();
  add(hash, fingerprint(Access::parts(model)));
  add(hash, std::to_string(model.args().block_size));
  add(hash, rope_layout_name(model.rope().layout));
  add(hash, session.kernels());
  add(hash, cache_type_name(session.cache_type()));
  return hash.digits();
}

}  // namespace lille::cli
