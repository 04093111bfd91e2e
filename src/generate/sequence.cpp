#include "generate/sequence.h"

#include <algorithm>

#include "base/check.h"
#include "model/session.h"

namespace lille {
namespace {

void check_options(const GenerateStepOptions& options) {
  if (options.max_tokens < 0)
    raise(ErrorCode::kInvalidArgument, "[generate] max_tokens: expected 0 or more, got {}",
          options.max_tokens);
  if (options.prefill_step_size < 1)
    raise(ErrorCode::kInvalidArgument, "[generate] prefill_step_size: expected 1 or more, got {}",
          options.prefill_step_size);
}

void check_prompt(std::span<const int32_t> prompt, const ModelArgs& args, int64_t n_cached) {
  if (prompt.empty())
    raise(ErrorCode::kInvalidArgument, "[generate] prompt: expected at least one token, got none");
  if (static_cast<int64_t>(prompt.size()) > args.block_size - n_cached)
    raise(ErrorCode::kInvalidArgument,
          "[generate] prompt: {} tokens{} are more than the context of {} tokens (block_size). Hint: shorten "
          "the prompt",
          prompt.size(), n_cached == 0 ? "" : fmt::format(" after {} in the cache", n_cached),
          args.block_size);
  for (const int32_t id : prompt)
    if (id < 0 || id >= args.vocab_size)
      raise(ErrorCode::kInvalidArgument, "[generate] prompt: expected token ids from 0 to {}, got {}",
            args.vocab_size - 1, id);
}

void check_reuse(const Session& session, const PromptCache& cache, int64_t n_kept) {
  const std::string fault = cache_fault(cache, n_kept, Access::parts(session.model()), session.kernels());
  if (!fault.empty()) raise(ErrorCode::kInvalidArgument, "[generate] prompt_cache: {}", fault);
}

}  // namespace

Sequence::Sequence(const Session& session, std::span<const int32_t> prompt, GenerateStepOptions options)
    : vocab_size_(session.model().args().vocab_size),
      options_(std::move(options)),
      sampler_(options_.sampler ? *options_.sampler : make_sampler({}, vocab_size_)),
      random_(options_.seed) {
  check_options(options_);
  if (options_.prompt_cache == nullptr) own_cache_.emplace(make_prompt_cache(session));
  const bool reuses = options_.prompt_cache != nullptr && options_.reuse_prefix;
  check_prompt(prompt, session.model().args(), reuses ? 0 : cache().offset());
  const int64_t n_kept = reuses ? reusable_prefix(cache(), prompt) : cache().offset();
  if (reuses) check_reuse(session, cache(), n_kept);
  if (!reuses) tokens_.assign(cache().tokens().begin(), cache().tokens().end());
  tokens_.insert(tokens_.end(), prompt.begin(), prompt.end());
  n_processed_ = n_cached_ = static_cast<std::size_t>(n_kept);
  // Last: nothing fails after it, and the prompt may be the cache's own tokens.
  cache().trim(cache().offset() - n_kept);
}

bool Sequence::has_next() const noexcept {
  return n_generated_ < options_.max_tokens && static_cast<int64_t>(tokens_.size()) <= cache().capacity();
}

bool Sequence::has_pending() const noexcept {
  return has_next() || (options_.max_tokens == 0 && !own_cache_ && n_processed_ < tokens_.size());
}

int64_t Sequence::n_draftable() const noexcept {
  if (reads_prompt() || !has_next()) return 0;
  // Of the tokens that may still come the pass gives one more than it has drafted ones.
  const int64_t n_free = cache().capacity() - static_cast<int64_t>(n_processed_);
  return std::min(options_.max_tokens - n_generated_, n_free) - 1;
}

DraftRequest Sequence::draft_request(int64_t n_tokens) const {
  return {tokens_, n_tokens, sampler_, random_, options_.cancel};
}

// Whether the cache holds the first n_tokens of the sequence and no others. Its keys and values are the same
// bits whoever read these tokens.
bool Sequence::is_cached(std::size_t n_tokens) const noexcept {
  return std::ranges::equal(cache().tokens(), std::span(tokens_).first(n_tokens));
}

void Sequence::check_cache() const {
  if (is_cached(n_processed_)) return;
  raise(ErrorCode::kInvalidArgument,
        "[generate] prompt_cache: expected the {} tokens that this answer left in it, got {} {}: something "
        "else read into it or trimmed it meanwhile. Hint: make one cache for each answer",
        n_processed_, cache().offset(),
        cache().offset() == static_cast<int64_t>(n_processed_) ? "others" : "tokens");
}

BatchItem Sequence::pending(std::span<const int32_t> draft) {
  check_cache();
  ahead_.draft.clear();
  ahead_.n_rows_taken = 0;
  if (!draft.empty()) {
    ahead_.draft.assign(draft.begin(), draft.end());
    read_ = {tokens_.back()};
    read_.insert(read_.end(), draft.begin(), draft.end());
    n_pending_ = 1;
    return {read_, &cache(), LogitsFor::kAll};
  }
  const std::size_t n_waiting = tokens_.size() - n_processed_;
  n_pending_ = std::min(static_cast<std::size_t>(options_.prefill_step_size), n_waiting);
  return {std::span(tokens_).subspan(n_processed_, n_pending_), &cache(),
          n_pending_ == n_waiting && has_next() ? LogitsFor::kLast : LogitsFor::kNone};
}

std::optional<GenerateStepResult> Sequence::accept(std::span<const float> logits) {
  const std::size_t n_drafted = ahead_.draft.size();
  if (n_drafted > 0) {
    const std::span<const float> drafted = logits.subspan(static_cast<std::size_t>(vocab_size_));
    ahead_.logits.assign(drafted.begin(), drafted.end());
    ahead_.n_updates = Access::n_updates(cache());
    cache().trim(static_cast<int64_t>(n_drafted));
    logits = logits.first(static_cast<std::size_t>(vocab_size_));
  }
  return take_or_undo(logits);
}

std::optional<GenerateStepResult> Sequence::accept_drafted() {
  const std::size_t row_idx = ahead_.n_rows_taken;
  if (row_idx == 0 || !has_next() || !is_drafted(row_idx - 1, tokens_.back())) return std::nullopt;
  if (options_.cancel.stop_requested()) raise(ErrorCode::kCanceled, "[generate] canceled by the caller");
  check_cache();
  // What was read behind it may have been overwritten and trimmed; then the token gets a pass of its own.
  if (Access::n_updates(cache()) != ahead_.n_updates) return std::nullopt;
  n_pending_ = 1;
  Access::restore(cache(), tokens_.back());
  const auto vocab_size = static_cast<std::size_t>(vocab_size_);
  return take_or_undo(std::span(ahead_.logits).subspan((row_idx - 1) * vocab_size, vocab_size));
}

bool Sequence::is_drafted(std::size_t row_idx, int32_t token) const noexcept {
  return row_idx < ahead_.draft.size() && ahead_.draft[row_idx] == token;
}

std::optional<GenerateStepResult> Sequence::take_or_undo(std::span<const float> logits) {
  const RandomState random = random_;
  try {
    return take(logits);
  } catch (...) {
    random_ = random;
    withdraw();
    options_.logits_processors.rollback(static_cast<int64_t>(n_shown_));
    throw;
  }
}

std::optional<GenerateStepResult> Sequence::take(std::span<const float> logits) {
  const std::size_t n_processed = n_processed_ + n_pending_;
  if (n_generated_ == 0 && options_.prompt_progress_callback)
    options_.prompt_progress_callback(static_cast<int64_t>(n_processed - n_cached_),
                                      static_cast<int64_t>(tokens_.size() - n_cached_));
  std::optional<GenerateStepResult> step;
  if (!logits.empty()) {
    logprobs_.assign(logits.begin(), logits.end());
    options_.logits_processors.process(tokens_, logprobs_);
    log_softmax(logprobs_);
    choosable_ = logprobs_;
    const int32_t token = sampler_(choosable_, random_);
    tokens_.push_back(token);
    n_shown_ = tokens_.size() - 1;
    ++n_generated_;
    const bool from_draft = is_drafted(ahead_.n_rows_taken, token);
    if (ahead_.n_rows_taken == 0) {
      ++stats_.n_passes;
      stats_.n_drafted += static_cast<int64_t>(ahead_.draft.size());
    }
    if (from_draft) ++stats_.n_accepted;
    ++ahead_.n_rows_taken;
    step = {token, logprobs_, from_draft, stats_};
  }
  n_processed_ = n_processed;
  n_pending_ = 0;
  return step;
}

void Sequence::withdraw() noexcept {
  if (is_cached(n_processed_ + n_pending_)) cache().trim(static_cast<int64_t>(n_pending_));
  n_pending_ = 0;
}

}  // namespace lille
