#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "generate/options.h"
#include "lille/defaults.h"
#include "lille/model_args.h"
#include "lille/tokenizer.h"
#include "server/fields.h"

namespace lille {

/// Most of what one request may ask for.
inline constexpr int64_t kMaxAnswers = 128;         ///< n, best_of, and prompts times these.
inline constexpr std::size_t kMaxStops = 16;        ///< Stop strings.
inline constexpr std::size_t kMaxStopBytes = 1024;  ///< Bytes of one of them.
inline constexpr std::size_t kMaxBiases = 1024;     ///< Entries of logit_bias.
inline constexpr int64_t kMaxTopLogprobs = 20;      ///< Alternatives at each token.
inline constexpr std::size_t kMaxInputs = 64;       ///< Texts of one request that are read, not answered.

/// What a request is read against.
struct ServedModel {
  std::string id;  ///< As clients name it.
  Tokenizer tokenizer;
  ModelArgs args;
  GenerationDefaults defaults;
  bool is_strict = false;       ///< Unknown fields are refused.
  bool refuses_system = false;  ///< Messages of the system are refused.
};

/// A prompt as the model reads it.
struct RequestPrompt {
  std::vector<int32_t> tokens;  ///< From 1 to block_size.
  std::size_t n_hidden = 0;     ///< Tokens at its beginning that the client did not write: `<|startoftext|>`.
};

/// What both of OpenAI's forms ask for.
struct GenerationRequest {
  bool is_chat = false;
  std::vector<RequestPrompt> prompts;  ///< At least one; of a chat exactly one.
  GenerationOptions options;           ///< max_tokens, stop, temperature and so on.
  std::string grammar_field;           ///< The field that `grammar` or `json_schema` come from.
  StreamOptions answer;                ///< How each is made, by the options, with another seed for each.
  int64_t n = 1;                       ///< Answers to each prompt.
  int64_t best_of = 1;                 ///< Of so many answers the n likeliest are given; >= n.
  bool echo = false;                   ///< The prompt stands before each answer.
  bool stream = false;
  bool include_usage = false;        ///< The last piece of a stream says what was used.
  std::vector<std::string> ignored;  ///< Fields that are not known.
};

/// Checks that a request asks for the model that is served.
/// @throws RefusedRequest with status 404.
void check_model_field(Fields& fields, const ServedModel& model);
/// @return fields that are not known, for the reply's header.
/// @throws RefusedRequest that names them if the server is strict.
std::vector<std::string> unknown_fields(const Fields& fields, const ServedModel& model);

/// The ids that a text or an array of ids stands for.
/// @param name  of the field.
/// @param bos   `<|startoftext|>` stands before a text.
/// @throws RefusedRequest for anything else, ids outside the vocabulary, or no token at all.
RequestPrompt read_prompt(const nlohmann::json& value, std::string_view name, bool bos,
                          const ServedModel& model);
/// The elements of a list of prompts, or the prompt that stands alone: a text, ids, an array of either.
/// @throws RefusedRequest for an empty array, or more than `max`.
std::vector<const nlohmann::json*> prompt_list(const nlohmann::json& value, std::string_view name,
                                               std::size_t max);
/// The conversation in `messages` as the model reads it. Messages of the roles system and developer are put
/// before the first message of the user.
/// @throws RefusedRequest that names the message and the field.
std::vector<int32_t> read_messages(const nlohmann::json& messages, const ServedModel& model);
/// @throws RefusedRequest with the reason context_length_exceeded.
void check_length(std::span<const int32_t> tokens, std::string_view name, const ServedModel& model);

/// A body as parse_body, except that a JSON Schema, in `response_format` or `json_schema`, is its text, in
/// which properties keep their order.
/// @throws RefusedRequest as parse_body.
nlohmann::json parse_answer_body(std::string_view body);
/// The body of /v1/completions.
/// @throws RefusedRequest or another Error(kInvalidArgument) that has the field.
GenerationRequest read_completion_request(const nlohmann::json& body, const ServedModel& model);
/// The body of /v1/chat/completions.
/// @throws as read_completion_request.
GenerationRequest read_chat_request(const nlohmann::json& body, const ServedModel& model);

}  // namespace lille
