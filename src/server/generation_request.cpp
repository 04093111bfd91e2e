#include "server/generation_request.h"

#include <array>
#include <span>

#include "base/text.h"
#include "generate/options_json.h"
#include "io/json.h"
#include "io/json_text.h"
#include "lille/grammar.h"
#include "lille/overflow.h"

namespace lille {
namespace {

using nlohmann::json;

constexpr std::string_view kSchemaField = "response_format.json_schema.schema";
constexpr std::size_t kMaxSchemaNameBytes = 64;

void read_table(Fields& fields, GenerationOptions& options) {
  visit_options(options, [&](const OptionSpec& spec, const auto&) {
    // The two forms differ in these.
    if (spec.name == "logprobs" || spec.name == "top_logprobs") return;
    const json* value = fields.find(spec.name);
    if (value != nullptr) set_json_option(options, spec.name, *value);
  });
  if (options.stop.size() > kMaxStops)
    refuse_field("stop", fmt::format("at most {} texts", kMaxStops), fmt::to_string(options.stop.size()));
  for (const std::string& stop : options.stop)
    if (stop.empty() || stop.size() > kMaxStopBytes)
      refuse_field("stop", fmt::format("texts of 1 to {} bytes", kMaxStopBytes),
                   fmt::format("one of {}", stop.size()));
  if (options.logits_processors.logit_bias.size() > kMaxBiases)
    refuse_field("logit_bias", fmt::format("at most {} ids", kMaxBiases),
                 fmt::to_string(options.logits_processors.logit_bias.size()));
  if (!options.grammar.empty() && !options.json_schema.empty())
    refuse_field("grammar", "none beside json_schema", "both");
}

void read_max_completion_tokens(Fields& fields, GenerationOptions& options) {
  const std::optional<int64_t> said = fields.number("max_completion_tokens", 0, 1'000'000'000);
  if (!said) return;
  if (fields.find("max_tokens") != nullptr && options.max_tokens != *said)
    refuse_field("max_completion_tokens",
                 fmt::format("the {} of max_tokens, or one of the two", options.max_tokens),
                 fmt::to_string(*said));
  options.max_tokens = *said;
}

void note_unknown(const Fields& fields, GenerationRequest& request) {
  const std::vector<std::string> unknown = fields.unknown();
  request.ignored.insert(request.ignored.end(), unknown.begin(), unknown.end());
}

void read_stream(Fields& fields, GenerationRequest& request) {
  request.stream = fields.flag("stream", false);
  const json* said = fields.find("stream_options");
  if (said == nullptr) return;
  if (!request.stream) refuse_field("stream_options", "none without \"stream\": true", describe(*said));
  Fields options(*said, "stream_options.");
  request.include_usage = options.flag("include_usage", false);
  note_unknown(options, request);
}

bool is_schema_name(std::string_view name) {
  constexpr std::string_view kCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  return !name.empty() && name.size() <= kMaxSchemaNameBytes &&
         name.find_first_not_of(kCharacters) == std::string_view::npos;
}

// The schema's text; parse_answer_body has put it in the place of an object.
std::string read_schema(Fields& format, GenerationRequest& request) {
  const json* said = format.find("json_schema");
  if (said == nullptr) refuse_field("response_format.json_schema", "an object with name and schema", "none");
  Fields fields(*said, "response_format.json_schema.");
  const std::optional<std::string> name = fields.text("name");
  if (!name || !is_schema_name(*name))
    refuse_field("response_format.json_schema.name", "1 to 64 letters, digits, _ and -",
                 name ? fmt::format("\"{}\"", printable(*name)) : "none");
  // Says what a schema is for; every schema is held to, strict or not.
  fields.accept("description");
  fields.flag("strict", false);
  const json* schema = fields.find("schema");
  if (schema == nullptr || !(schema->is_object() || schema->is_string()))
    refuse_field(kSchemaField, "a JSON Schema", schema == nullptr ? "none" : describe(*schema));
  if (schema->is_string() && schema->get_ref<const std::string&>().empty())
    refuse_field(kSchemaField, "a JSON Schema", "an empty text");
  note_unknown(fields, request);
  return schema->is_string() ? schema->get<std::string>() : schema->dump();
}

void read_response_format(Fields& fields, GenerationRequest& request) {
  const json* said = fields.find("response_format");
  if (said == nullptr) return;
  Fields format(*said, "response_format.");
  const std::optional<std::string> type = format.text("type");
  GenerationOptions& options = request.options;
  const bool is_schema = type == "json_schema";
  if (!is_schema && type != "json_object" && type != "text")
    refuse_field("response_format.type", "\"text\", \"json_object\" or \"json_schema\"",
                 type ? fmt::format("\"{}\"", printable(*type)) : "none");
  if (type != "text" && !(options.grammar.empty() && options.json_schema.empty()))
    refuse_field("response_format.type", "\"text\" beside grammar and json_schema",
                 fmt::format("\"{}\"", *type));
  if (is_schema) {
    options.json_schema = read_schema(format, request);
    request.grammar_field = kSchemaField;
  }
  if (type == "json_object") options.json_schema = R"({"type":"object"})";
  note_unknown(format, request);
}

void read_common(Fields& fields, GenerationRequest& request, const ServedModel& model) {
  check_model_field(fields, model);
  read_table(fields, request.options);
  request.grammar_field = request.options.grammar.empty() ? "json_schema" : "grammar";
  read_max_completion_tokens(fields, request.options);
  request.n = request.best_of = fields.number("n", 1, kMaxAnswers).value_or(1);
  read_stream(fields, request);
  read_response_format(fields, request);
  // A user's name, for the abuse reports of others.
  fields.accept("user");
}

void hold_to_grammar(GenerationRequest& request, const Tokenizer& tokenizer) {
  const GenerationOptions& options = request.options;
  try {
    add_grammar(request.answer.logits_processors, options.grammar, options.json_schema, tokenizer,
                request.grammar_field);
  } catch (const Error& error) {
    throw RefusedRequest(400, error.what(), request.grammar_field);
  }
}

void finish(const Fields& fields, GenerationRequest& request, const ServedModel& model) {
  if (model.is_strict && !request.ignored.empty())
    throw RefusedRequest(400, fmt::format("{}: unknown field", request.ignored.front()),
                         request.ignored.front(), "unknown_field");
  const std::vector<std::string> unknown = unknown_fields(fields, model);
  request.ignored.insert(request.ignored.end(), unknown.begin(), unknown.end());
  GenerationOptions options = request.options;
  // The prompts fit already.
  options.overflow = overflow_name(Overflow::kError);
  options.grammar.clear();
  options.json_schema.clear();
  request.answer = make_stream_options(options, model.defaults, model.tokenizer);
  hold_to_grammar(request, model.tokenizer);
}

// What the context has room for, as the option `overflow` says.
std::vector<int32_t> fit(std::vector<int32_t> tokens, std::string_view name, const GenerationOptions& options,
                         const ServedModel& model) {
  const Overflow overflow = *overflow_from_name(options.overflow);
  if (overflow == Overflow::kError) {
    check_length(tokens, name, model);
    return tokens;
  }
  try {
    return fit_prompt(tokens, model.tokenizer, model.args.block_size, options.max_tokens, overflow).tokens;
  } catch (const Error& error) {
    throw RefusedRequest(400, error.what(), std::string(name), "context_length_exceeded");
  }
}

}  // namespace

void check_model_field(Fields& fields, const ServedModel& model) {
  const std::optional<std::string> said = fields.text("model");
  if (!said || *said == model.id) return;
  throw RefusedRequest(
      404,
      fmt::format("model: expected \"{}\", the model that is served, got \"{}\"", model.id, printable(*said)),
      "model", "model_not_found");
}

std::vector<std::string> unknown_fields(const Fields& fields, const ServedModel& model) {
  std::vector<std::string> unknown = fields.unknown();
  if (model.is_strict && !unknown.empty())
    throw RefusedRequest(
        400, fmt::format("{}: unknown field. Hint: without --strict it would be ignored", unknown.front()),
        unknown.front(), "unknown_field");
  return unknown;
}

void check_length(std::span<const int32_t> tokens, std::string_view name, const ServedModel& model) {
  if (static_cast<int64_t>(tokens.size()) <= model.args.block_size) return;
  refuse_field(name, fmt::format("at most {} tokens, the context of the model", model.args.block_size),
               fmt::to_string(tokens.size()), "context_length_exceeded");
}

RequestPrompt read_prompt(const json& value, std::string_view name, bool bos, const ServedModel& model) {
  RequestPrompt prompt;
  if (value.is_string()) {
    if (bos) prompt.tokens.push_back(model.tokenizer.bos_token_id());
    prompt.n_hidden = prompt.tokens.size();
    const std::vector<int32_t> ids = model.tokenizer.encode(value.get_ref<const std::string&>());
    prompt.tokens.insert(prompt.tokens.end(), ids.begin(), ids.end());
  } else if (value.is_array()) {
    for (const json& id : value) {
      if (!id.is_number_integer() || id.get<double>() < 0 ||
          id.get<double>() >= static_cast<double>(model.args.vocab_size))
        refuse_field(name, fmt::format("token ids from 0 to {}", model.args.vocab_size - 1), describe(id));
      prompt.tokens.push_back(id.get<int32_t>());
    }
  } else {
    refuse_field(name, "a text or an array of token ids", describe(value));
  }
  if (prompt.tokens.empty()) refuse_field(name, "at least one token", "none");
  return prompt;
}

std::vector<const json*> prompt_list(const json& value, std::string_view name, std::size_t max) {
  const bool is_list = value.is_array() && !value.empty() && !value.front().is_number();
  if (!is_list) return {&value};
  if (value.size() > max)
    refuse_field(name, fmt::format("at most {} of them", max), fmt::to_string(value.size()));
  std::vector<const json*> prompts;
  for (const json& prompt : value) prompts.push_back(&prompt);
  return prompts;
}

nlohmann::json parse_answer_body(std::string_view body) {
  constexpr std::array<std::string_view, 3> kEnvelope = {"response_format", "json_schema", "schema"};
  const std::span<const std::string_view> envelope = kEnvelope;
  json object = parse_body(body);
  for (const auto path : {envelope, envelope.subspan(1, 1)}) {
    const json::json_pointer place(fmt::format("/{}", fmt::join(path, "/")));
    if (object.contains(place) && object[place].is_object()) object[place] = json_text_at(body, path);
  }
  return object;
}

GenerationRequest read_completion_request(const json& body, const ServedModel& model) {
  Fields fields(body);
  GenerationRequest request;
  read_common(fields, request, model);
  if (const json* suffix = fields.find("suffix"))
    refuse_field("suffix", "none, since the model cannot fill a gap", describe(*suffix));
  request.echo = fields.flag("echo", false);
  request.best_of = fields.number("best_of", request.n, kMaxAnswers).value_or(request.n);
  if (request.best_of > request.n && request.stream)
    refuse_field("best_of", fmt::format("{}, the n of a stream", request.n), fmt::to_string(request.best_of));
  if (const std::optional<int64_t> n_top = fields.number("logprobs", 0, kMaxTopLogprobs)) {
    request.options.logprobs = true;
    request.options.top_logprobs = *n_top;
  }
  const json* prompt = fields.find("prompt");
  if (prompt == nullptr) refuse_field("prompt", "a text or an array of token ids", "none");
  const bool bos = begins_with_bos(request.options, model.defaults);
  for (const json* one : prompt_list(*prompt, "prompt", static_cast<std::size_t>(kMaxAnswers))) {
    RequestPrompt read = read_prompt(*one, "prompt", bos, model);
    const std::size_t n_before = read.tokens.size();
    read.tokens = fit(std::move(read.tokens), "prompt", request.options, model);
    // What echo shows is what was read.
    if (read.tokens.size() < n_before && read.tokens.front() != model.tokenizer.bos_token_id())
      read.n_hidden = 0;
    request.prompts.push_back(std::move(read));
  }
  const int64_t n_answers = static_cast<int64_t>(request.prompts.size()) * request.best_of;
  if (n_answers > kMaxAnswers)
    refuse_field(request.best_of > request.n ? "best_of" : "n",
                 fmt::format("at most {} answers to all prompts", kMaxAnswers), fmt::to_string(n_answers));
  finish(fields, request, model);
  return request;
}

GenerationRequest read_chat_request(const json& body, const ServedModel& model) {
  Fields fields(body);
  GenerationRequest request;
  request.is_chat = true;
  read_common(fields, request, model);
  request.options.logprobs = fields.flag("logprobs", false);
  if (const std::optional<int64_t> n_top = fields.number("top_logprobs", 0, kMaxTopLogprobs)) {
    if (!request.options.logprobs && *n_top > 0)
      refuse_field("top_logprobs", "none without \"logprobs\": true", fmt::to_string(*n_top));
    request.options.top_logprobs = *n_top;
  }
  const json* messages = fields.find("messages");
  if (messages == nullptr) refuse_field("messages", "an array of objects with role and content", "none");
  std::vector<int32_t> tokens = read_messages(*messages, model);
  // As in a chat: the model was trained so, whatever the folder says of plain prompts.
  if (!request.options.bos.value_or(true)) tokens.erase(tokens.begin());
  request.prompts = {{fit(std::move(tokens), "messages", request.options, model)}};
  finish(fields, request, model);
  return request;
}

}  // namespace lille
