#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lille/generate.h"
#include "lille/tokenizer.h"
#include "server/scheduler.h"

namespace lille {

/// A token as log-probabilities list it.
struct ListedToken {
  int32_t token = 0;
  std::optional<float> logprob;  ///< Empty for a token that nothing stands before.
  std::vector<TokenLogprob> top_logprobs = {};
};

/// Which of OpenAI's two forms a reply has, and what all its pieces say.
struct AnswerForm {
  bool is_chat = false;
  std::string id;           ///< "chatcmpl-..."
  int64_t created = 0;      ///< Seconds since 1970.
  std::string model;        ///< As clients name it.
  bool logprobs = false;    ///< Whether they are listed.
  bool says_usage = false;  ///< Pieces of a stream have a `usage`, null up to the last.
};

/// What an answer, or the part of one in a piece of a stream, consists of.
struct AnswerPart {
  int64_t index = 0;
  std::string text;
  std::vector<ListedToken> tokens;
  /// Characters of the answer before these tokens.
  int64_t n_characters_before = 0;
  std::optional<FinishReason> finish_reason;
};

/// Tokens that were read or generated.
struct Usage {
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t cached_tokens = 0;  ///< Of prompt_tokens: not read again.
};

/// Characters that begin in the bytes of a token.
int64_t count_characters(std::string_view bytes);

/// The reply with all answers.
nlohmann::ordered_json answer_json(const AnswerForm& form, std::span<const AnswerPart> answers,
                                   const Usage& usage, const Tokenizer& tokenizer);
/// The first piece of an answer in a stream of a chat: whose turn it is.
nlohmann::ordered_json role_piece(const AnswerForm& form, int64_t index);
/// A piece of one answer; without text where only its end is told.
nlohmann::ordered_json answer_piece(const AnswerForm& form, const AnswerPart& part,
                                    const Tokenizer& tokenizer);
/// The last piece of a stream that says what was used.
nlohmann::ordered_json usage_piece(const AnswerForm& form, const Usage& usage);

/// A token's bytes as a text that no other token has, in OpenAI's way: those that are no UTF-8 by their
/// codes.
std::string token_text(int32_t token, const Tokenizer& tokenizer);
/// A log-probability as JSON can say it: minus infinity is OpenAI's -9999.
float finite_logprob(float logprob);

/// {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details": {"cached_tokens"}}
nlohmann::ordered_json usage_json(const Usage& usage);

/// One line of valid UTF-8; bytes that are none become U+FFFD.
std::string json_line(const nlohmann::ordered_json& json);

}  // namespace lille
