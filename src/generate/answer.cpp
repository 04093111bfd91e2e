#include "generate/answer.h"

#include "base/check.h"

namespace lille {
namespace {

double seconds(std::chrono::steady_clock::duration elapsed) {
  return std::chrono::duration<double>(elapsed).count();
}

double rate(int64_t n_tokens, double elapsed_s) {
  return elapsed_s > 0 ? static_cast<double>(n_tokens) / elapsed_s : 0;
}

}  // namespace

Answer::Answer(const Tokenizer& tokenizer, const ModelArgs& args, int64_t n_prompt_tokens)
    : detokenizer_(tokenizer),
      eos_token_id_(tokenizer.eos_token_id()),
      user_token_id_(tokenizer.user_token_id()),
      n_prompt_tokens_(n_prompt_tokens) {
  if (tokenizer.vocab_size() != args.vocab_size)
    raise(ErrorCode::kInvalidArgument,
          "[generate] the tokenizer has {} tokens and the model {} (vocab_size). Hint: are they of the same "
          "checkpoint?",
          tokenizer.vocab_size(), args.vocab_size);
}

GenerationResponse Answer::add(const std::optional<GenerateStepResult>& step, bool has_next) {
  const Clock::time_point now = Clock::now();
  if (n_generated_ == 0) first_token_ = now;
  GenerationResponse response;
  response.prompt_tokens = n_prompt_tokens_;
  response.prompt_s = seconds(first_token_ - start_);
  response.prompt_tps = rate(n_prompt_tokens_, response.prompt_s);
  bool is_stopped = false;
  if (step) {
    ++n_generated_;
    response.token = step->token;
    response.logprobs = step->logprobs;
    response.generation_tps = rate(n_generated_ - 1, seconds(now - first_token_));
    is_stopped = step->token == eos_token_id_ || step->token == user_token_id_;
    if (!is_stopped) response.text = detokenizer_.add_token(step->token);
  }
  response.generation_tokens = n_generated_;
  if (is_stopped || !has_next) {
    is_finished_ = true;
    response.text += detokenizer_.finalize();
    response.finish_reason = is_stopped ? FinishReason::kStop : FinishReason::kLength;
  }
  return response;
}

}  // namespace lille
