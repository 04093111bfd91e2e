#include "lille/generate.h"

#include <chrono>

#include "base/check.h"

namespace lille {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

double rate(int64_t n_tokens, double elapsed_s) {
  return elapsed_s > 0 ? static_cast<double>(n_tokens) / elapsed_s : 0;
}

void check_options(const GenerateStepOptions& options) {
  if (options.max_tokens < 0)
    raise(ErrorCode::kInvalidArgument, "[generate] max_tokens: expected 0 or more, got {}",
          options.max_tokens);
  if (options.prefill_step_size < 1)
    raise(ErrorCode::kInvalidArgument, "[generate] prefill_step_size: expected 1 or more, got {}",
          options.prefill_step_size);
}

}  // namespace

struct GenerateStep::State {
  Session& session;
  GenerateStepOptions options;
  std::optional<PromptCache> own_cache;
  PromptCache* cache;
  Sampler sampler;
  RandomState random;
  std::vector<int32_t> tokens;  // prompt and what was generated
  std::size_t n_processed = 0;  // of tokens: those in the cache
  int64_t n_generated = 0;
  std::vector<float> logprobs;   // (vocab_size) handed out
  std::vector<float> choosable;  // (vocab_size) overwritten by the sampler

  State(Session& session_in, std::span<const int32_t> prompt, GenerateStepOptions options_in)
      : session(session_in),
        options(std::move(options_in)),
        cache(options.prompt_cache),
        sampler(options.sampler ? *options.sampler : make_sampler({}, session.model().args().vocab_size)),
        random(options.seed),
        tokens(prompt.begin(), prompt.end()) {
    if (cache == nullptr) cache = &own_cache.emplace(session.model());
  }

  // Reads the tokens that the cache does not hold yet; the last pass gives the logits that the next token
  // comes from.
  Logits process_tokens() {
    const std::size_t n_prompt = tokens.size();
    const auto step = static_cast<std::size_t>(options.prefill_step_size);
    Logits logits;
    while (n_processed < n_prompt) {
      const std::size_t n = std::min(step, n_prompt - n_processed);
      const bool is_last = n_processed + n == n_prompt;
      const BatchItem item = {std::span(tokens).subspan(n_processed, n), cache,
                              is_last ? LogitsFor::kLast : LogitsFor::kNone};
      logits = session.forward(std::span(&item, 1), {options.stop, {}, nullptr});
      n_processed += n;
      if (n_generated == 0 && options.prompt_progress_callback)
        options.prompt_progress_callback(static_cast<int64_t>(n_processed), static_cast<int64_t>(n_prompt));
    }
    return logits;
  }
};

GenerateStep::GenerateStep(Session& session, std::span<const int32_t> prompt, GenerateStepOptions options) {
  check_options(options);
  state_ = std::make_unique<State>(session, prompt, std::move(options));
  const int64_t block_size = session.model().args().block_size;
  const int64_t n_before = state_->cache->offset();
  const auto n_prompt = static_cast<int64_t>(prompt.size());
  if (n_prompt == 0)
    raise(ErrorCode::kInvalidArgument, "[generate] prompt: expected at least one token, got none");
  if (n_prompt > block_size - n_before)
    raise(ErrorCode::kInvalidArgument,
          "[generate] prompt: {} tokens after {} in the cache are more than the context of {} tokens "
          "(block_size). "
          "Hint: shorten the prompt",
          n_prompt, n_before, block_size);
  const int64_t vocab_size = session.model().args().vocab_size;
  for (const int32_t id : prompt)
    if (id < 0 || id >= vocab_size)
      raise(ErrorCode::kInvalidArgument, "[generate] prompt: expected token ids from 0 to {}, got {}",
            vocab_size - 1, id);
}

GenerateStep::~GenerateStep() = default;
GenerateStep::GenerateStep(GenerateStep&&) noexcept = default;

bool GenerateStep::has_next() const noexcept {
  const State& state = *state_;
  const auto n_waiting = static_cast<int64_t>(state.tokens.size() - state.n_processed);
  return state.n_generated < state.options.max_tokens &&
         state.cache->offset() + n_waiting <= state.cache->capacity();
}

std::optional<GenerateStepResult> GenerateStep::next() {
  if (!has_next()) return std::nullopt;
  State& state = *state_;
  const Logits logits = state.process_tokens();
  state.logprobs.assign(logits.values.begin(), logits.values.end());
  state.options.logits_processors.process(state.tokens, state.logprobs);
  log_softmax(state.logprobs);
  state.choosable = state.logprobs;
  const int32_t token = state.sampler(state.choosable, state.random);
  state.tokens.push_back(token);
  ++state.n_generated;
  return GenerateStepResult{token, state.logprobs};
}

std::string_view finish_reason_name(FinishReason reason) noexcept {
  return reason == FinishReason::kStop ? "stop" : "length";
}

struct StreamGenerate::State {
  GenerateStep steps;
  StreamingDetokenizer detokenizer;
  int32_t end_ids[2];
  Clock::time_point start = Clock::now();
  Clock::time_point first_token;
  GenerationResponse response;
  bool is_started = false;
  bool is_finished = false;

  bool ends(int32_t token) const { return token == end_ids[0] || token == end_ids[1]; }
};

StreamGenerate::StreamGenerate(Session& session, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                               GenerateStepOptions options) {
  if (tokenizer.vocab_size() != session.model().args().vocab_size)
    raise(ErrorCode::kInvalidArgument,
          "[generate] the tokenizer has {} tokens and the model {} (vocab_size). Hint: are they of the same "
          "checkpoint?",
          tokenizer.vocab_size(), session.model().args().vocab_size);
  state_.reset(new State{GenerateStep(session, prompt, std::move(options)),
                         StreamingDetokenizer(tokenizer),
                         {tokenizer.eos_token_id(), tokenizer.user_token_id()},
                         Clock::now(),
                         {},
                         {},
                         false,
                         false});
  state_->response.prompt_tokens = static_cast<int64_t>(prompt.size());
}

StreamGenerate::~StreamGenerate() = default;
StreamGenerate::StreamGenerate(StreamGenerate&&) noexcept = default;

std::optional<GenerationResponse> StreamGenerate::next() {
  State& state = *state_;
  GenerationResponse& response = state.response;
  if (state.is_finished) return std::nullopt;
  const std::optional<GenerateStepResult> step = state.steps.next();
  const Clock::time_point now = Clock::now();
  if (!state.is_started) {
    state.is_started = true;
    state.first_token = now;
    response.prompt_s = seconds_between(state.start, now);
    response.prompt_tps = rate(response.prompt_tokens, response.prompt_s);
  }
  response.text.clear();
  response.token.reset();
  response.logprobs = {};
  if (step) {
    response.token = step->token;
    response.logprobs = step->logprobs;
    ++response.generation_tokens;
    response.generation_tps = rate(response.generation_tokens - 1, seconds_between(state.first_token, now));
    if (!state.ends(step->token)) response.text = state.detokenizer.add_token(step->token);
  }
  const bool is_stopped = step && state.ends(step->token);
  if (is_stopped || !state.steps.has_next()) {
    state.is_finished = true;
    response.text += state.detokenizer.finalize();
    response.finish_reason = is_stopped ? FinishReason::kStop : FinishReason::kLength;
  }
  return response;
}

std::string generate(Session& session, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                     GenerateStepOptions options) {
  StreamGenerate stream(session, tokenizer, prompt, std::move(options));
  std::string text;
  while (const std::optional<GenerationResponse> response = stream.next()) text += response->text;
  return text;
}

}  // namespace lille
