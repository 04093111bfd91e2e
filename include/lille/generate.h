#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "lille/draft.h"
#include "lille/logits_processors.h"
#include "lille/model.h"
#include "lille/overflow.h"
#include "lille/prompt_cache.h"
#include "lille/random.h"
#include "lille/sampler.h"
#include "lille/tokenizer.h"

namespace lille {

/// @throws Error(kInvalidArgument) if the tokenizer's vocabulary is not the model's, with both sizes.
void check_vocabulary(const Tokenizer& tokenizer, const ModelArgs& args);

/// How tokens are generated; the names are mlx-lm's.
struct GenerateStepOptions {
  int64_t max_tokens = 256;            ///< At most so many tokens; the context may end before. 0: none.
  std::optional<Sampler> sampler;      ///< Empty: the most likely token.
  uint64_t seed = 0;                   ///< Of this sequence's random numbers.
  LogitsProcessors logits_processors;  ///< Applied in order to the raw logits.
  /// Continue after its tokens, which processors see too; null: an empty one of its own. The last token of an
  /// answer is never read into it. With max_tokens 0 the prompt is. Nobody else may change it meanwhile.
  PromptCache* prompt_cache = nullptr;
  /// The prompt is the whole one: it does not follow what is in the prompt cache, but as much of that as is
  /// its beginning is not read again, and the rest of the cache is forgotten (lille/prompt_cache.h).
  bool reuse_prefix = false;
  int64_t prefill_step_size = 128;  ///< Prompt tokens of one forward pass; results do not depend on it.
  std::function<void(int64_t n_processed, int64_t n_prompt)> prompt_progress_callback;  ///< May be empty.
  std::stop_token cancel;  ///< Looked at between blocks of the model.
  /// Guesses tokens that a pass reads beside the last one; null: none. Answers do not depend on it. It serves
  /// one answer at a time, outlives it, and BatchGenerator does not use it.
  Drafter* drafter = nullptr;
  int64_t num_draft_tokens = 8;  ///< Most guesses for one pass, from 1 to kMaxDraftTokens.
  /// As many guesses as give most tokens a second, by time measured so far, none where that is fastest.
  /// Otherwise always num_draft_tokens.
  bool adaptive_draft = true;
};

/// One generated token.
struct GenerateStepResult {
  int32_t token = 0;                ///< Its id.
  std::span<const float> logprobs;  ///< (vocab_size), before the sampler's filters; valid until the next step
  bool from_draft = false;          ///< The drafter had guessed it.
  DraftStats draft = {};            ///< Up to this token.
};

/// Tokens one by one, without end tokens or text: mlx-lm's generator of the same name.
/// Source: mlx_lm/generate.py generate_step.
class GenerateStep {
 public:
  /// @param prompt  at least one token; with a prompt cache, the tokens that follow it.
  /// @throws Error(kInvalidArgument) for an empty prompt, ids outside the vocabulary, a prompt longer than
  ///   what is left of the context (with both lengths), an option out of range, or a prefix to reuse in a
  ///   cache of another model or other kernels. The prompt cache is then as it was.
  GenerateStep(Session& session, std::span<const int32_t> prompt, GenerateStepOptions options);
  ~GenerateStep();
  GenerateStep(GenerateStep&&) noexcept;

  /// The next token, or nothing after max_tokens or at the end of the context. The first call reads the
  /// prompt.
  /// @throws Error(kCanceled); Error(kInvalidArgument) if all logits are NaN or -infinity, for a drafted id
  ///   outside the vocabulary, or if somebody else read into the prompt cache or trimmed it since the last
  ///   call; whatever the progress callback, a processor or the drafter throws. The next call repeats the
  ///   pass.
  std::optional<GenerateStepResult> next();
  /// Whether next() would give a token: max_tokens is not reached and the context has room.
  bool has_next() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// How an answer is made of tokens. Token options alone, which convert to this, have no stop strings and
/// refuse a prompt that is too long.
struct StreamOptions : GenerateStepOptions {
  StreamOptions() = default;
  /// These options of tokens, and no others.
  StreamOptions(GenerateStepOptions options) : GenerateStepOptions(std::move(options)) {}

  /// The answer ends before the first of these that stands in it; UTF-8, none of them empty.
  std::vector<std::string> stop;
  int64_t top_logprobs = 0;  ///< So many of the likeliest tokens in each response, from 0 to vocab_size.
  /// For a prompt longer than the context. A prompt that follows a prompt cache is not cut.
  Overflow overflow = Overflow::kError;
};

/// Why an answer ended: `kStop` at `<|endoftext|>`, `<|user|>` or a stop string, `kLength` at max_tokens or
/// the end of the context.
enum class FinishReason { kStop, kLength };

/// "stop" or "length".
std::string_view finish_reason_name(FinishReason reason) noexcept;

/// A token and its log-probability.
struct TokenLogprob {
  int32_t token = 0;  ///< Its id.
  float logprob = 0;  ///< ln of its probability.
};

/// One piece of an answer.
/// Source: mlx_lm/generate.py GenerationResponse.
struct GenerationResponse {
  /// What can be shown now: whole UTF-8 characters; empty while they may be the beginning of a stop string.
  std::string text;
  std::optional<int32_t> token;            ///< The token of this response; none if max_tokens is 0.
  std::span<const float> logprobs;         ///< (vocab_size) of the step; valid until the next response
  float logprob = 0;                       ///< Of the token, before the sampler's filters.
  std::vector<TokenLogprob> top_logprobs;  ///< StreamOptions::top_logprobs of them, the likeliest first.
  int64_t prompt_tokens = 0;               ///< Without those that were left out.
  int64_t n_dropped_tokens = 0;            ///< Of the prompt: left out because of StreamOptions::overflow.
  int64_t n_dropped_turns = 0;             ///< Whole turns among them.
  int64_t n_cached_tokens = 0;             ///< Of prompt_tokens: reused (GenerateStepOptions::reuse_prefix).
  double prompt_tps = 0;                   ///< Prompt tokens per second, without the reused ones.
  double prompt_s = 0;                     ///< Seconds until the first token was known.
  int64_t generation_tokens = 0;           ///< Tokens generated so far, the end token included.
  double generation_tps = 0;               ///< Generated tokens per second after the prompt.
  bool from_draft = false;                 ///< The drafter had guessed the token.
  DraftStats draft = {};                   ///< Of the answer up to this token.
  std::optional<FinishReason> finish_reason;  ///< In the last response only.
  std::string stop;                           ///< The stop string that ended the answer; empty if none did.
};

/// The responses of one answer, taken together.
struct WholeAnswer {
  std::string text;                  ///< All pieces, one after the other.
  std::vector<TokenLogprob> tokens;  ///< In order, an end token included.
  /// GenerationResponse::top_logprobs of each token; empty if none were asked for.
  std::vector<std::vector<TokenLogprob>> top_logprobs;
  GenerationResponse last;  ///< The last response: counts, speed, how it ended; without logprobs.

  /// Takes the next response.
  void add(GenerationResponse response);
};

/// An answer as it is made: tokens to text, stopping where Lille's answers end (docs/GENERATION.md).
/// Source: mlx_lm/generate.py stream_generate.
class StreamGenerate {
 public:
  /// @throws Error as GenerateStep and fit_prompt; Error(kInvalidArgument) for a stop string that is empty or
  ///   no UTF-8, top_logprobs out of range, or a tokenizer whose vocabulary is not the model's.
  StreamGenerate(Session& session, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                 StreamOptions options);
  ~StreamGenerate();
  StreamGenerate(StreamGenerate&&) noexcept;

  /// The next response, or nothing after the one that has a finish_reason.
  /// @throws Error as GenerateStep::next.
  std::optional<GenerationResponse> next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// StreamGenerate under mlx-lm's name.
inline StreamGenerate stream_generate(Session& session, const Tokenizer& tokenizer,
                                      std::span<const int32_t> prompt, StreamOptions options = {}) {
  return {session, tokenizer, prompt, std::move(options)};
}

/// The whole answer as text.
/// @throws Error as StreamGenerate.
std::string generate(Session& session, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                     StreamOptions options = {});

}  // namespace lille
