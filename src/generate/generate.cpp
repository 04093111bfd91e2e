#include "lille/generate.h"

#include "base/check.h"
#include "generate/answer.h"
#include "generate/sequence.h"
#include "generate/speculative.h"

namespace lille {

void check_vocabulary(const Tokenizer& tokenizer, const ModelArgs& args) {
  if (tokenizer.vocab_size() == args.vocab_size) return;
  raise(ErrorCode::kInvalidArgument,
        "[generate] the tokenizer has {} tokens and the model {} (vocab_size). Hint: are they of the same "
        "checkpoint?",
        tokenizer.vocab_size(), args.vocab_size);
}

struct GenerateStep::State {
  Session& session;
  Speculation speculation;
  Sequence sequence;
};

GenerateStep::GenerateStep(Session& session, std::span<const int32_t> prompt, GenerateStepOptions options)
    : state_(new State{session, Speculation(options), Sequence(session, prompt, std::move(options))}) {}

GenerateStep::~GenerateStep() = default;
GenerateStep::GenerateStep(GenerateStep&&) noexcept = default;

bool GenerateStep::has_next() const noexcept { return state_->sequence.has_next(); }

std::optional<GenerateStepResult> GenerateStep::next() {
  Sequence& sequence = state_->sequence;
  if (const std::optional<GenerateStepResult> step = sequence.accept_drafted()) return step;
  while (sequence.has_pending()) {
    // Before the cache is looked at: who cancels may have it back at once.
    if (sequence.options().cancel.stop_requested())
      raise(ErrorCode::kCanceled, "[generate] canceled by the caller");
    const BatchItem item = state_->speculation.pending(sequence);
    const Logits logits =
        state_->session.forward(std::span(&item, 1), {sequence.options().cancel, {}, nullptr});
    state_->speculation.end_pass();
    if (const std::optional<GenerateStepResult> step = sequence.accept(logits.values)) return step;
  }
  return std::nullopt;
}

std::string_view finish_reason_name(FinishReason reason) noexcept {
  return reason == FinishReason::kStop ? "stop" : "length";
}

struct StreamGenerate::State {
  GenerateStep steps;
  Answer answer;
};

StreamGenerate::StreamGenerate(Session& session, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                               StreamOptions options) {
  const ModelArgs& args = session.model().args();
  const FittedPrompt fitted = fit_stream_prompt(prompt, tokenizer, args, options);
  Answer answer(tokenizer, args, fitted, options);
  state_.reset(new State{GenerateStep(session, fitted.tokens, std::move(options)), std::move(answer)});
}

StreamGenerate::~StreamGenerate() = default;
StreamGenerate::StreamGenerate(StreamGenerate&&) noexcept = default;

std::optional<GenerationResponse> StreamGenerate::next() {
  if (state_->answer.is_finished()) return std::nullopt;
  const std::optional<GenerateStepResult> step = state_->steps.next();
  return state_->answer.add(step, state_->steps.has_next());
}

void WholeAnswer::add(GenerationResponse response) {
  text += response.text;
  if (response.token) tokens.push_back({*response.token, response.logprob});
  if (!response.top_logprobs.empty()) top_logprobs.push_back(response.top_logprobs);
  last = std::move(response);
  last.logprobs = {};
}

std::string generate(Session& session, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                     StreamOptions options) {
  StreamGenerate stream(session, tokenizer, prompt, std::move(options));
  std::string text;
  while (const std::optional<GenerationResponse> response = stream.next()) text += response->text;
  return text;
}

}  // namespace lille
