#include <random>

#include "capi/arguments.h"
#include "capi/error.h"
#include "capi/handles.h"

namespace lille::capi {
namespace {

constexpr std::string_view kGenerate = "lille_generate";

int32_t finish_reason_of(const GenerationResponse& response) noexcept {
  if (!response.finish_reason) return LILLE_FINISH_NONE;
  return *response.finish_reason == FinishReason::kStop ? LILLE_FINISH_STOP : LILLE_FINISH_LENGTH;
}

// Calls the caller's function with what a response says.
class Teller {
 public:
  Teller(lille_response_callback on_response, void* user_data, uint64_t seed)
      : on_response_(on_response), user_data_(user_data), seed_(seed) {}

  void operator()(const GenerationResponse& from) {
    if (on_response_ == nullptr) return;
    top_.clear();
    for (const TokenLogprob& likely : from.top_logprobs) top_.push_back({likely.token, likely.logprob});
    lille_response to = {};
    to.text = from.text.c_str();
    to.n_bytes = static_cast<int64_t>(from.text.size());
    to.token = from.token.value_or(-1);
    to.logprob = from.logprob;
    to.logprobs = from.logprobs.empty() ? nullptr : from.logprobs.data();
    to.vocab_size = static_cast<int64_t>(from.logprobs.size());
    to.top_logprobs = top_.empty() ? nullptr : top_.data();
    to.n_top_logprobs = static_cast<int64_t>(top_.size());
    to.prompt_tokens = from.prompt_tokens;
    to.n_dropped_tokens = from.n_dropped_tokens;
    to.n_cached_tokens = from.n_cached_tokens;
    to.generation_tokens = from.generation_tokens;
    to.n_drafted_tokens = from.draft.n_drafted;
    to.n_accepted_tokens = from.draft.n_accepted;
    to.prompt_tps = from.prompt_tps;
    to.prompt_s = from.prompt_s;
    to.generation_tps = from.generation_tps;
    to.seed = seed_;
    to.finish_reason = finish_reason_of(from);
    if (on_response_(&to, user_data_) != 0)
      raise(ErrorCode::kCanceled, "[{}] canceled by the callback", kGenerate);
  }

 private:
  lille_response_callback on_response_;
  void* user_data_;
  uint64_t seed_;
  std::vector<lille_token_logprob> top_;
};

StreamOptions stream_options(lille_session& session, const lille_options& options,
                             const Tokenizer& tokenizer) {
  StreamOptions stream = make_stream_options(options.generation, session.model.defaults, tokenizer);
  if (!options.generation.seed) stream.seed = std::random_device()();
  stream.prompt_cache = &session.cache;
  stream.reuse_prefix = true;
  stream.drafter = session.drafter.get();
  stream.num_draft_tokens = session.draft.num_draft_tokens.value_or(stream.num_draft_tokens);
  stream.adaptive_draft = session.draft.adaptive_draft.value_or(stream.adaptive_draft);
  return stream;
}

// The answer is put together in `text`, which has what was made when this throws.
void answer(lille_session& session, std::span<const int32_t> prompt, const lille_options& options,
            lille_response_callback on_response, void* user_data, std::string& text) {
  const SessionUse use(session, kGenerate);
  const Tokenizer& tokenizer = tokenizer_of(session.model, kGenerate).tokenizer;
  StreamOptions stream_as = stream_options(session, options, tokenizer);
  stream_as.cancel = use.cancel();
  Teller tell(on_response, user_data, stream_as.seed);
  StreamGenerate stream(session.session, tokenizer, prompt, std::move(stream_as));
  while (const std::optional<GenerationResponse> response = stream.next()) {
    text += response->text;
    tell(*response);
  }
}

}  // namespace
}  // namespace lille::capi

namespace capi = lille::capi;

lille_status lille_generate(lille_session* session, const int32_t* prompt, int64_t n_prompt,
                            const lille_options* options, lille_response_callback on_response,
                            void* user_data, char** text, int64_t* n_bytes, lille_error* error) {
  capi::clear(text, n_bytes);
  return capi::guarded(error, [&] {
    lille_session& used = capi::needed(session, "lille_generate: session");
    const auto tokens = capi::array_of(prompt, n_prompt, "lille_generate: prompt");
    std::string made;
    const auto give = [&] {
      if (text != nullptr) *text = capi::allocated_copy(std::span<const char>(made));
      if (n_bytes != nullptr) *n_bytes = static_cast<int64_t>(made.size());
    };
    try {
      capi::answer(used, tokens, capi::options_or_none(options), on_response, user_data, made);
    } catch (const lille::Error& error_of_answer) {
      if (error_of_answer.code() == lille::ErrorCode::kCanceled) give();
      throw;
    }
    give();
  });
}
