#include "cli/answer.h"

#include "base/check.h"
#include "base/error_name.h"

namespace lille::cli {
namespace {

using nlohmann::ordered_json;

ordered_json logprob_json(const TokenLogprob& of, const Tokenizer& tokenizer) {
  return {{"id", of.token}, {"token", tokenizer.token_bytes(of.token)}, {"logprob", of.logprob}};
}

ordered_json logprobs_json(const WholeAnswer& answer, const Tokenizer& tokenizer) {
  ordered_json all = ordered_json::array();
  for (std::size_t idx = 0; idx < answer.tokens.size(); ++idx) {
    ordered_json chosen = logprob_json(answer.tokens[idx], tokenizer);
    if (!answer.top_logprobs.empty()) {
      chosen["top_logprobs"] = ordered_json::array();
      for (const TokenLogprob& likely : answer.top_logprobs[idx])
        chosen["top_logprobs"].push_back(logprob_json(likely, tokenizer));
    }
    all.push_back(std::move(chosen));
  }
  return all;
}

}  // namespace

std::vector<int32_t> prompt_ids(std::string_view prompt, const GenerationOptions& options,
                                const GenerationDefaults& defaults, const Tokenizer& tokenizer) {
  std::vector<int32_t> ids = tokenizer.encode(prompt);
  if (begins_with_bos(options, defaults)) ids.insert(ids.begin(), tokenizer.bos_token_id());
  if (ids.empty())
    raise(ErrorCode::kInvalidArgument,
          "prompt: expected a text, got an empty one without <|startoftext|>. Hint: write a prompt or use "
          "--bos");
  return ids;
}

ordered_json answer_json(const WholeAnswer& answer, const GenerationOptions& options, uint64_t seed,
                         const Tokenizer& tokenizer) {
  const GenerationResponse& last = answer.last;
  ordered_json tokens = ordered_json::array();
  for (const TokenLogprob& token : answer.tokens) tokens.push_back(token.token);
  ordered_json json = {{"text", answer.text},
                       {"tokens", std::move(tokens)},
                       {"finish_reason", finish_reason_name(*last.finish_reason)},
                       {"stop", last.stop.empty() ? ordered_json() : ordered_json(last.stop)},
                       {"seed", seed},
                       {"prompt_tokens", last.prompt_tokens},
                       {"dropped_tokens", last.n_dropped_tokens},
                       {"dropped_turns", last.n_dropped_turns},
                       {"generation_tokens", last.generation_tokens}};
  if (wants_logprobs(options)) json["logprobs"] = logprobs_json(answer, tokenizer);
  return json;
}

ordered_json error_json(const Error& error) {
  return {{"code", error_code_name(error.code())}, {"message", error.what()}};
}

std::string json_text(const ordered_json& json, int indent) {
  return json.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace lille::cli
