#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <vector>

#include "server/scheduler.h"

namespace lille {

/// A text while the scheduler's thread reads it, a piece at a time, and where its result waits. Up to
/// finish() or fail() all but is_canceled is that thread's own; after it, `mutex` guards what is told.
struct Scheduler::Reading::State {
  /// Nothing is read yet.
  explicit State(ReadingRequest wanted) : request(std::move(wanted)) {}

  /// Fills `cache` with what a prefix cache has of the tokens that tell nothing.
  void restore(PrefixCache& prefix);
  /// Reads up to `max_tokens` tokens in one pass.
  /// @throws Error as Session::forward.
  void read(Session& session, int64_t max_tokens, const std::stop_token& cancel);
  /// Whether more is wanted than scores.
  bool looks_inside() const noexcept;
  /// The tokens that have to be read: where nobody looks inside, the last tells nothing.
  int64_t n_to_read() const noexcept;
  /// Whether these are read.
  bool is_read() const noexcept;
  /// Hands the result over.
  void finish();
  /// Hands an error over.
  void fail(const Error& error);

  ReadingRequest request;
  std::atomic<bool> is_canceled = false;
  std::unique_ptr<PromptCache> cache;  ///< Null before the first piece.
  std::vector<double> hidden_sum;      ///< (n_embd)

  std::mutex mutex;
  std::condition_variable changed;
  bool has_ended = false;
  ReadingResult result;
  std::optional<Error> error;
};

}  // namespace lille
