#include "generate/answer.h"

#include <algorithm>

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

std::vector<TokenLogprob> top_logprobs(std::span<const float> logprobs, int64_t n) {
  const auto is_before = [](const TokenLogprob& left, const TokenLogprob& right) {
    return left.logprob != right.logprob ? left.logprob > right.logprob : left.token < right.token;
  };
  // The best so far as a heap, the worst of them on top: most tokens are only compared with that one.
  std::vector<TokenLogprob> best;
  for (std::size_t id = 0; id < logprobs.size() && n > 0; ++id) {
    const TokenLogprob candidate = {static_cast<int32_t>(id), logprobs[id]};
    if (static_cast<int64_t>(best.size()) == n) {
      if (!is_before(candidate, best.front())) continue;
      std::ranges::pop_heap(best, is_before);
      best.pop_back();
    }
    best.push_back(candidate);
    std::ranges::push_heap(best, is_before);
  }
  std::ranges::sort_heap(best, is_before);
  return best;
}

FittedPrompt fit_stream_prompt(std::span<const int32_t> prompt, const Tokenizer& tokenizer,
                               const ModelArgs& args, const StreamOptions& options) {
  const bool is_continued =
      options.prompt_cache != nullptr && options.prompt_cache->offset() > 0 && !options.reuse_prefix;
  if (is_continued) return {{prompt.begin(), prompt.end()}, 0, 0};
  return fit_prompt(prompt, tokenizer, args.block_size, options.max_tokens, options.overflow);
}

Answer::Answer(const Tokenizer& tokenizer, const ModelArgs& args, const FittedPrompt& prompt,
               const StreamOptions& options)
    : detokenizer_(tokenizer),
      stops_(options.stop),
      eos_token_id_(tokenizer.eos_token_id()),
      user_token_id_(tokenizer.user_token_id()),
      n_prompt_tokens_(static_cast<int64_t>(prompt.tokens.size())),
      n_dropped_tokens_(prompt.n_dropped_tokens),
      n_dropped_turns_(prompt.n_dropped_turns),
      n_top_logprobs_(options.top_logprobs) {
  if (options.prompt_cache != nullptr && options.reuse_prefix)
    n_cached_tokens_ = reusable_prefix(*options.prompt_cache, prompt.tokens);
  check_vocabulary(tokenizer, args);
  if (n_top_logprobs_ < 0 || n_top_logprobs_ > args.vocab_size)
    raise(ErrorCode::kInvalidArgument, "[generate] top_logprobs: expected 0 to {} (vocab_size), got {}",
          args.vocab_size, n_top_logprobs_);
}

GenerationResponse Answer::start_response(bool has_token) {
  GenerationResponse response;
  response.prompt_tokens = n_prompt_tokens_;
  response.n_dropped_tokens = n_dropped_tokens_;
  response.n_dropped_turns = n_dropped_turns_;
  response.n_cached_tokens = n_cached_tokens_;
  if (!has_token) return response;
  const Clock::time_point now = Clock::now();
  if (n_generated_ == 0) first_token_ = now;
  response.prompt_s = seconds(first_token_ - start_);
  response.prompt_tps = rate(n_prompt_tokens_ - n_cached_tokens_, response.prompt_s);
  response.generation_tps = rate(n_generated_, seconds(now - first_token_));
  return response;
}

GenerationResponse Answer::add(const std::optional<GenerateStepResult>& step, bool has_next) {
  GenerationResponse response = start_response(step.has_value());
  bool is_stopped = false;
  std::string text;
  if (step) {
    ++n_generated_;
    response.token = step->token;
    response.logprobs = step->logprobs;
    response.from_draft = step->from_draft;
    response.draft = step->draft;
    response.logprob = step->logprobs[static_cast<std::size_t>(step->token)];
    response.top_logprobs = top_logprobs(step->logprobs, n_top_logprobs_);
    is_stopped = step->token == eos_token_id_ || step->token == user_token_id_;
    if (!is_stopped) text = detokenizer_.add_token(step->token);
  }
  response.generation_tokens = n_generated_;
  is_finished_ = is_stopped || !has_next;
  if (is_finished_) text += detokenizer_.finalize();
  response.text = stops_.add(text);
  if (const std::string* stop = stops_.matched()) {
    response.stop = *stop;
    is_finished_ = is_stopped = true;
  }
  if (is_finished_) {
    response.text += stops_.finalize();
    response.finish_reason = is_stopped ? FinishReason::kStop : FinishReason::kLength;
  }
  return response;
}

}  // namespace lille
