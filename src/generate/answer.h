#pragma once

#include <chrono>
#include <optional>

#include "generate/stop_strings.h"
#include "lille/generate.h"

namespace lille {

/// The n tokens of the largest values, the largest first; of equal ones the lower ids.
/// @param logprobs  (vocab_size)
/// @param n         From 0 to vocab_size.
std::vector<TokenLogprob> top_logprobs(std::span<const float> logprobs, int64_t n);

/// The prompt of an answer, cut if need be. One that follows tokens in a cache is passed on as it is: what
/// would have to leave is in the cache.
/// @throws Error as fit_prompt.
FittedPrompt fit_stream_prompt(std::span<const int32_t> prompt, const Tokenizer& tokenizer,
                               const ModelArgs& args, const StreamOptions& options);

/// Turns the tokens of one sequence into responses: text in whole characters, the end of the answer, and how
/// long it took. One sequence and each of a batch have one of their own.
class Answer {
 public:
  /// The clock starts here, or anew with restart_clock().
  /// @param prompt  the whole prompt; options.prompt_cache still holds what it is to share with it.
  /// @throws Error(kInvalidArgument) if the tokenizer's vocabulary is not the model's, for stop strings that
  ///   are empty or no UTF-8, and for top_logprobs out of range.
  Answer(const Tokenizer& tokenizer, const ModelArgs& args, const FittedPrompt& prompt,
         const StreamOptions& options);

  /// The response to one step.
  /// @param step      empty if no token could be generated at all.
  /// @param has_next  whether the sequence may go on; if not, or at an end token, the response has a
  ///   finish_reason.
  GenerationResponse add(const std::optional<GenerateStepResult>& step, bool has_next);

  bool is_finished() const noexcept { return is_finished_; }
  /// For a prompt that had to wait.
  void restart_clock() noexcept { start_ = Clock::now(); }

 private:
  using Clock = std::chrono::steady_clock;

  // What every response of the answer says.
  GenerationResponse start_response(bool has_token);

  StreamingDetokenizer detokenizer_;
  StopStrings stops_;
  int32_t eos_token_id_;
  int32_t user_token_id_;
  int64_t n_prompt_tokens_;
  int64_t n_dropped_tokens_;
  int64_t n_dropped_turns_;
  int64_t n_cached_tokens_ = 0;
  int64_t n_top_logprobs_;
  int64_t n_generated_ = 0;
  Clock::time_point start_ = Clock::now();
  Clock::time_point first_token_;
  bool is_finished_ = false;
};

}  // namespace lille
