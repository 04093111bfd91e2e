#pragma once

#include <chrono>
#include <span>
#include <vector>

#include "generate/draft_length.h"
#include "generate/sequence.h"

namespace lille {

/// Speculative decoding of one sequence: it decides what is drafted behind the token that the next pass
/// reads. Without a drafter nothing is.
class Speculation {
 public:
  /// @throws Error(kInvalidArgument) for num_draft_tokens below 1 or above kMaxDraftTokens.
  explicit Speculation(const GenerateStepOptions& options);

  /// What the next pass reads: Sequence::pending with a draft if one pays. Valid until Sequence::accept.
  /// @throws Error(kInvalidArgument) for a drafted id outside the vocabulary; whatever the drafter throws.
  BatchItem pending(Sequence& sequence);

  /// The pass that read pending() is through.
  void end_pass();

 private:
  using Clock = std::chrono::steady_clock;

  std::vector<int32_t> draft(const Sequence& sequence);
  void note_outcome(const Sequence& sequence);

  Drafter* drafter_;
  int64_t num_draft_tokens_;
  bool is_adaptive_;
  DraftLength length_;
  int64_t n_seen_ = 0;  // tokens when something was drafted last
  DraftStats noted_;    // of the sequence, when the last outcome was noted
  int64_t n_rows_ = 0;  // of the pass that runs; 0 while a prompt is read
  Clock::time_point start_;
};

}  // namespace lille
