#pragma once

#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "generate/options.h"
#include "lille/error.h"

namespace lille::cli {

/// The tokens of a plain prompt, with `<|startoftext|>` before them where options or folder say so.
/// @throws Error(kInvalidArgument) if there would be none.
std::vector<int32_t> prompt_ids(std::string_view prompt, const GenerationOptions& options,
                                const GenerationDefaults& defaults, const Tokenizer& tokenizer);

/// Whether an answer is printed with log-probabilities.
inline bool wants_logprobs(const GenerationOptions& options) {
  return options.logprobs || options.top_logprobs > 0;
}

/// What can be said of an answer without a clock: text, tokens, why it ended, seed, counts and, where they
/// are wanted, log-probabilities.
nlohmann::ordered_json answer_json(const WholeAnswer& answer, const GenerationOptions& options, uint64_t seed,
                                   const Tokenizer& tokenizer);

/// {"code": "invalid_argument", "message": ...}
nlohmann::ordered_json error_json(const Error& error);

/// One line of valid UTF-8; bytes of tokens that are none become U+FFFD.
/// @param indent  Spaces of each level; -1: no line breaks.
std::string json_text(const nlohmann::ordered_json& json, int indent);

}  // namespace lille::cli
