#pragma once

#include <chrono>
#include <optional>

#include "lille/generate.h"

namespace lille {

/// Turns the tokens of one sequence into responses: text in whole characters, the end of the answer, and how
/// long it took. One sequence and each of a batch have one of their own.
class Answer {
 public:
  /// The clock starts here.
  /// @throws Error(kInvalidArgument) if the tokenizer's vocabulary is not the model's.
  Answer(const Tokenizer& tokenizer, const ModelArgs& args, int64_t n_prompt_tokens);

  /// The response to one step.
  /// @param step      empty if no token could be generated at all.
  /// @param has_next  whether the sequence may go on; if not, or at an end token, the response has a
  /// finish_reason.
  GenerationResponse add(const std::optional<GenerateStepResult>& step, bool has_next);

  bool is_finished() const noexcept { return is_finished_; }

 private:
  using Clock = std::chrono::steady_clock;

  StreamingDetokenizer detokenizer_;
  int32_t eos_token_id_;
  int32_t user_token_id_;
  int64_t n_prompt_tokens_;
  int64_t n_generated_ = 0;
  Clock::time_point start_ = Clock::now();
  Clock::time_point first_token_;
  bool is_finished_ = false;
};

}  // namespace lille
