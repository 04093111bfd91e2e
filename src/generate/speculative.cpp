#include "generate/speculative.h"

#include <algorithm>

#include "base/check.h"

namespace lille {
namespace {

double elapsed_s(std::chrono::steady_clock::duration elapsed) {
  return std::chrono::duration<double>(elapsed).count();
}

int64_t checked_draft_tokens(int64_t num_draft_tokens) {
  if (num_draft_tokens < 1 || num_draft_tokens > kMaxDraftTokens)
    raise(ErrorCode::kInvalidArgument, "[generate] num_draft_tokens: expected 1 to {}, got {}",
          kMaxDraftTokens, num_draft_tokens);
  return num_draft_tokens;
}

}  // namespace

Speculation::Speculation(const GenerateStepOptions& options)
    : drafter_(options.drafter),
      num_draft_tokens_(checked_draft_tokens(options.num_draft_tokens)),
      is_adaptive_(options.adaptive_draft),
      length_(num_draft_tokens_) {}

BatchItem Speculation::pending(Sequence& sequence) {
  if (drafter_ == nullptr || sequence.reads_prompt()) {
    n_rows_ = 0;
    return sequence.pending();
  }
  note_outcome(sequence);
  const std::vector<int32_t> drafted = draft(sequence);
  n_rows_ = 1 + static_cast<int64_t>(drafted.size());
  start_ = Clock::now();
  return sequence.pending(drafted);
}

void Speculation::note_outcome(const Sequence& sequence) {
  const DraftStats& stats = sequence.draft_stats();
  length_.note_outcome(stats.n_drafted - noted_.n_drafted, stats.n_accepted - noted_.n_accepted);
  noted_ = stats;
}

std::vector<int32_t> Speculation::draft(const Sequence& sequence) {
  const int64_t n_possible = std::min(num_draft_tokens_, sequence.n_draftable());
  const int64_t n_tokens = is_adaptive_ ? length_.choose(n_possible) : n_possible;
  if (n_tokens < 1) return {};
  const Clock::time_point start = Clock::now();
  const DraftRequest request = sequence.draft_request(n_tokens);
  std::vector<int32_t> drafted = drafter_->draft(request);
  // After a pause a draft model has to read what it missed, which says nothing about the next draft.
  const auto n_seen = static_cast<int64_t>(request.tokens.size());
  if (n_seen - n_seen_ <= num_draft_tokens_ + 1)
    length_.note_draft(static_cast<int64_t>(drafted.size()), elapsed_s(Clock::now() - start));
  n_seen_ = n_seen;
  drafted.resize(std::min(drafted.size(), static_cast<std::size_t>(n_tokens)));
  for (const int32_t id : drafted)
    if (id < 0 || id >= sequence.vocab_size())
      raise(ErrorCode::kInvalidArgument, "[generate] drafter: expected token ids from 0 to {}, got {}",
            sequence.vocab_size() - 1, id);
  return drafted;
}

void Speculation::end_pass() {
  if (n_rows_ > 0) length_.note_pass(n_rows_, elapsed_s(Clock::now() - start_));
}

}  // namespace lille
