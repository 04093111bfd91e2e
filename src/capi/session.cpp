#include "capi/arguments.h"
#include "capi/error.h"
#include "capi/handles.h"
#include "lille/prompt_cache.h"
#include "model/hidden_sum.h"
#include "tokenizer/token_difference.h"

namespace lille::capi {

SessionUse::SessionUse(lille_session& session, std::string_view where) : session_(session) {
  if (session.is_busy.exchange(true))
    raise(ErrorCode::kInvalidArgument,
          "[{}] session: expected one that no other call uses. Hint: each thread has a session of its own",
          where);
  const std::scoped_lock lock(session_.mutex);
  session_.cancel = cancel_;
}

SessionUse::~SessionUse() {
  {
    const std::scoped_lock lock(session_.mutex);
    session_.cancel = std::stop_source(std::nostopstate);
  }
  session_.is_busy = false;
}

namespace {

SessionOptions session_options(const lille_options& options) {
  return {options.model.threads, "", options.compute.exact, cache_type_of_bits(options.compute.kv_bits)};
}

std::unique_ptr<Session> load_draft_session(const lille_model& target, const lille_options& options) {
  // The layout that was asked for is the target's.
  lille_options draft_options = options;
  draft_options.model.rope.clear();
  const Model model = load_model(options.draft.draft, draft_options);
  const std::string difference = token_difference(Tokenizer::load(model.path()), printable_path(model.path()),
                                                  tokenizer_of(target, "lille_session_create").tokenizer,
                                                  printable_path(target.model.path()));
  if (!difference.empty())
    raise(ErrorCode::kInvalidArgument,
          "[lille_session_create] draft: expected a model with the tokenizer of the one that answers, got {}",
          difference);
  return std::make_unique<Session>(model, session_options(options));
}

// What lille_logits gives: the logits of one pass that starts from nothing.
Logits read(lille_session& session, std::span<const int32_t> tokens, PromptCache& cache, LogitsFor logits_for,
            const ForwardOptions& options) {
  const BatchItem item = {tokens, &cache, logits_for};
  return session.session.forward({&item, 1}, options);
}

void check_numbers(int64_t n, int64_t n_wanted, std::string_view where) {
  check_count(n, kMaxCount, where);
  if (n != n_wanted)
    raise(ErrorCode::kInvalidShape, "[{}] expected room for {} numbers, got room for {}", where, n_wanted, n);
}

void check_context(const lille_session& session, std::span<const int32_t> tokens, std::string_view where) {
  const int64_t block_size = session.model.model.args().block_size;
  if (tokens.empty() || static_cast<int64_t>(tokens.size()) > block_size)
    raise(ErrorCode::kInvalidArgument, "[{}] tokens: expected 1 to {} (block_size), got {}", where,
          block_size, tokens.size());
}

void logits_of(lille_session& session, std::span<const int32_t> tokens, int32_t logits_for,
               std::span<float> logits) {
  constexpr std::string_view kLogits = "lille_logits";
  if (logits_for != LILLE_LOGITS_LAST && logits_for != LILLE_LOGITS_ALL)
    raise(ErrorCode::kInvalidArgument, "[{}] logits_for: expected {} or {}, got {}", kLogits,
          static_cast<int>(LILLE_LOGITS_LAST), static_cast<int>(LILLE_LOGITS_ALL), logits_for);
  check_context(session, tokens, kLogits);
  const bool wants_all = logits_for == LILLE_LOGITS_ALL;
  const int64_t n_rows = wants_all ? static_cast<int64_t>(tokens.size()) : 1;
  check_numbers(static_cast<int64_t>(logits.size()), n_rows * session.model.model.args().vocab_size,
                "lille_logits: logits");
  const SessionUse use(session, kLogits);
  PromptCache cache = make_prompt_cache(session.session);
  const Logits computed = read(session, tokens, cache, wants_all ? LogitsFor::kAll : LogitsFor::kLast,
                               {use.cancel(), {}, nullptr});
  std::ranges::copy(computed.values, logits.begin());
}

void embedding_of(lille_session& session, std::span<const int32_t> tokens, std::span<float> values) {
  check_context(session, tokens, "lille_embed");
  const ModelArgs& args = session.model.model.args();
  check_numbers(static_cast<int64_t>(values.size()), args.n_embd, "lille_embed: values");
  const SessionUse use(session, "lille_embed");
  PromptCache cache = make_prompt_cache(session.session);
  std::vector<double> sum;
  HiddenSum observer(sum, args);
  read(session, tokens, cache, LogitsFor::kNone, {use.cancel(), {}, &observer});
  const auto n_tokens = static_cast<double>(tokens.size());
  std::ranges::transform(sum, values.begin(), [&](double of) { return static_cast<float>(of / n_tokens); });
}

void save_cache(lille_session& session, std::string_view path) {
  const SessionUse use(session, "lille_save_prompt_cache");
  save_prompt_cache(path, session.cache);
}

void load_cache(lille_session& session, std::string_view path) {
  const SessionUse use(session, "lille_load_prompt_cache");
  session.cache = load_prompt_cache(path, session.model.model,
                                    {session.session.cache_type(), std::string(session.session.kernels())});
}

}  // namespace
}  // namespace lille::capi

lille_session::lille_session(const lille_model& model_handle, const lille_options& options)
    : model(model_handle),
      session(model.model, lille::capi::session_options(options)),
      cache(lille::make_prompt_cache(session)),
      draft(options.draft) {
  if (draft.draft.empty()) return;
  if (draft.draft == "lookup") {
    drafter = lille::make_lookup_drafter();
    return;
  }
  draft_session = lille::capi::load_draft_session(model, options);
  drafter = lille::make_model_drafter(*draft_session, model.model);
}

namespace capi = lille::capi;

lille_status lille_session_create(const lille_model* model, const lille_options* options,
                                  lille_session** session, lille_error* error) {
  capi::clear(session);
  return capi::guarded(error, [&] {
    lille_session*& result = capi::needed(session, "lille_session_create: session");
    result =
        new lille_session(capi::needed(model, "lille_session_create: model"), capi::options_or_none(options));
  });
}

void lille_session_free(lille_session* session) { delete session; }

void lille_session_cancel(lille_session* session) {
  if (session == nullptr) return;
  const std::scoped_lock lock(session->mutex);
  session->cancel.request_stop();
}

const char* lille_session_kernels(const lille_session* session) {
  // Session keeps it as a std::string.
  return session == nullptr ? nullptr : session->session.kernels().data();
}

lille_status lille_save_prompt_cache(lille_session* session, const char* path, lille_error* error) {
  return capi::guarded(error, [&] {
    capi::save_cache(capi::needed(session, "lille_save_prompt_cache: session"),
                     capi::text_of(path, "lille_save_prompt_cache: path"));
  });
}

lille_status lille_load_prompt_cache(lille_session* session, const char* path, lille_error* error) {
  return capi::guarded(error, [&] {
    capi::load_cache(capi::needed(session, "lille_load_prompt_cache: session"),
                     capi::text_of(path, "lille_load_prompt_cache: path"));
  });
}

lille_status lille_logits(lille_session* session, const int32_t* tokens, int64_t n_tokens, int32_t logits_for,
                          float* logits, int64_t n_logits, lille_error* error) {
  return capi::guarded(error, [&] {
    capi::logits_of(capi::needed(session, "lille_logits: session"),
                    capi::array_of(tokens, n_tokens, "lille_logits: tokens"), logits_for,
                    capi::array_of(logits, n_logits, "lille_logits: logits"));
  });
}

lille_status lille_embed(lille_session* session, const int32_t* tokens, int64_t n_tokens, float* values,
                         int64_t n_values, lille_error* error) {
  return capi::guarded(error, [&] {
    capi::embedding_of(capi::needed(session, "lille_embed: session"),
                       capi::array_of(tokens, n_tokens, "lille_embed: tokens"),
                       capi::array_of(values, n_values, "lille_embed: values"));
  });
}
