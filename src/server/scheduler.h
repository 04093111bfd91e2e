#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "lille/batch.h"
#include "lille/error.h"
#include "lille/generate.h"
#include "lille/model.h"
#include "server/prefix_cache.h"

namespace lille {

/// How much a Scheduler takes on.
struct SchedulerOptions {
  int64_t completion_batch_size = 32;  ///< Answers that are made at once, at least 1; each has a PromptCache.
  int64_t prefill_batch_size = 2;      ///< Of these, how many read their prompts in one pass, at least 1.
  int64_t prefill_step_size = 64;      ///< Prompt tokens of one of them in one pass, at least 1.
  int64_t max_queue = 1024;            ///< Answers and readings that wait, at least 1; more are refused.
  int64_t prefix_cache_bytes = int64_t{256} << 20;  ///< Of the PrefixCache; 0: none.
};

/// One answer that is wanted.
struct AnswerRequest {
  std::vector<int32_t> prompt;  ///< From 1 to block_size ids of the vocabulary.
  /// How it is made. cancel, prompt_cache, reuse_prefix, prefill_step_size and drafter are the scheduler's.
  StreamOptions options;
};

/// A piece of one of the answers that were asked for together.
struct AnswerEvent {
  std::size_t answer_idx = 0;   ///< Which of them.
  GenerationResponse response;  ///< Without `logprobs`, whose values live for one step only.
  std::optional<Error> error;   ///< Instead of a response: this answer ended here.
  /// Whether nothing more comes of this answer.
  bool is_last() const noexcept { return error.has_value() || response.finish_reason.has_value(); }
};

/// A text that is read for what the model thinks of it.
struct ReadingRequest {
  std::vector<int32_t> tokens;  ///< From 1 to block_size ids of the vocabulary.
  int64_t first_scored = 0;     ///< The first token whose log-probability is wanted, from 1; 0: of none.
  int64_t top_logprobs = 0;     ///< At each scored token, so many of the likeliest; >= 0.
  bool wants_hidden = false;    ///< Whether the mean of the last hidden states is wanted.
  int64_t lens_top = 0;         ///< After each block, at each token, so many of the likeliest next; >= 0.
  std::optional<int64_t> attention_of = {};  ///< A token whose attention is wanted, from 0; a position.
};

/// How likely one token was after those before it.
struct ScoredToken {
  TokenLogprob token;         ///< Its id and ln of its probability.
  bool is_likeliest = false;  ///< Whether no other token, and none with a lower id, was as likely.
  std::vector<TokenLogprob> top_logprobs;  ///< ReadingRequest::top_logprobs of them, the likeliest first.
};

/// What came of a ReadingRequest.
struct ReadingResult {
  std::vector<ScoredToken> scored;  ///< From first_scored to the last token.
  std::vector<float> mean_hidden;   ///< (n_embd) over all tokens, after the final norm, summed in double.
  int64_t n_cached_tokens = 0;      ///< Tokens that the prefix cache had.
  /// (n_tokens, n_layer + 1): ReadingRequest::lens_top next tokens, the likeliest first, if the blocks after
  /// the first 0, 1, ... n_layer were left out (logit_lens).
  std::vector<std::vector<TokenLogprob>> lens;
  /// (n_layer, n_head, attention_of + 1): what each head of each block gives to the tokens that it sees.
  std::vector<float> attention;
};

/// What a Scheduler did and does.
struct SchedulerStats {
  int64_t n_waiting = 0;           ///< Answers and readings that wait.
  int64_t n_running = 0;           ///< Answers that are made.
  int64_t n_refused = 0;           ///< Answers and readings that found the queue full.
  int64_t n_finished = 0;          ///< Answers that came to their end.
  int64_t n_canceled = 0;          ///< Answers that nobody wanted any more.
  int64_t n_failed = 0;            ///< Answers that ended with an error.
  int64_t n_passes = 0;            ///< Forward passes.
  int64_t n_generated_tokens = 0;  ///< Of all answers.
  PrefixCache::Stats prefix;       ///< The prefix cache's.
  double step_s = 0;          ///< How long the step that runs has lasted, seconds; 0 while there is none.
  bool is_canceling = false;  ///< cancel_all() is asked for, and the thread has not come to it.
  std::string fault;          ///< What the last step that failed as a whole said; empty after a good one.
};

/// Answers requests that come at any time, from any threads, with one session in one thread of its own:
/// requests join and leave between forward passes, prompts are read in pieces beside the answers that are
/// under way, and what was read is kept for prompts that begin alike. An answer has the bits that
/// StreamGenerate would give it alone, whatever runs beside it and wherever its prompt came from. Memory is
/// bounded by SchedulerOptions, and an answer that nobody reads by the length of the context.
class Scheduler {
 public:
  /// Answers that were asked for together, as they are made. Destroying it cancels what has not ended. One
  /// thread uses it; the scheduler outlives it.
  class Answers {
   public:
    ~Answers();
    Answers(const Answers&) = delete;
    Answers& operator=(const Answers&) = delete;

    /// The next piece of any of the answers, in the order they were made; nothing if none came in time, or
    /// all have ended.
    std::optional<AnswerEvent> next(std::chrono::milliseconds patience);
    /// Whether next() has given the last piece of each.
    bool has_ended() const noexcept { return n_open_ == 0; }

   private:
    friend class Scheduler;
    struct Mailbox;
    Answers(Scheduler& scheduler, std::shared_ptr<Mailbox> mailbox, std::size_t n_answers);
    Scheduler& scheduler_;
    std::shared_ptr<Mailbox> mailbox_;
    std::size_t n_open_;
  };

  /// A text that is read. Destroying it cancels it. One thread uses it; the scheduler outlives it.
  class Reading {
   public:
    ~Reading();
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

    /// The result, once; nothing if it is not there in time.
    /// @throws Error what went wrong.
    std::optional<ReadingResult> wait(std::chrono::milliseconds patience);

   private:
    friend class Scheduler;
    struct State;
    Reading(Scheduler& scheduler, std::shared_ptr<State> state);
    Scheduler& scheduler_;
    std::shared_ptr<State> state_;
  };

  /// Starts the thread.
  /// @param session  belongs to the scheduler as long as it lives, and outlives it.
  /// @throws Error(kInvalidArgument) for an option out of range, or another model's tokenizer.
  Scheduler(Session& session, const Tokenizer& tokenizer, const SchedulerOptions& options = {});
  /// Cancels everything and ends the thread.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Puts answers into the queue. Those of one client wait for each other; between clients the places go
  /// round.
  /// @param requests  at least one.
  /// @param client    who asks.
  /// @return nothing if the queue is full. A place in it is enough for all of them.
  /// @throws Error(kInvalidArgument) for no request, or a prompt that is empty, too long or has other ids.
  std::unique_ptr<Answers> answer(std::vector<AnswerRequest> requests, const std::string& client = "");

  /// Puts a text to be read into the queue. Texts are read in the order they come, a piece between two
  /// passes.
  /// @return nothing if the queue is full.
  /// @throws Error(kInvalidArgument) for a text that is empty, too long or has other ids, or a field out of
  ///   range.
  std::unique_ptr<Reading> read(ReadingRequest request);

  /// Those of this moment.
  SchedulerStats stats() const;
  /// Whether nothing waits and nothing runs.
  bool is_idle() const;
  /// Cancels what waits and what runs; each ends with Error(kCanceled).
  void cancel_all();

 private:
  struct Waiting;
  struct Running;
  using Clock = std::chrono::steady_clock;

  void check_tokens(std::span<const int32_t> tokens) const;
  bool has_place();
  void forget(const std::shared_ptr<Answers::Mailbox>& mailbox);
  void forget(const std::shared_ptr<Reading::State>& reading);

  void work(const std::stop_token& stop);
  bool wait_for_work(const std::stop_token& stop);
  void step(const std::stop_token& stop);
  void make_generator(const std::stop_token& stop);
  void admit();
  std::unique_ptr<Waiting> next_waiting();
  bool gains_by_waiting(std::span<const int32_t> prompt) const;
  void start(std::unique_ptr<Waiting> waiting);
  void deliver(BatchGenerator::Response response);
  void read_piece(const std::stop_token& stop);
  std::unique_ptr<PromptCache> take_cache();
  void give_cache(std::unique_ptr<PromptCache> cache);
  void fail_running(const Error& error);
  void fail_waiting(const Error& error);

  Session& session_;
  Tokenizer tokenizer_;
  SchedulerOptions options_;

  mutable std::mutex mutex_;  // of all that follows, up to prefix_
  std::condition_variable_any changed_;
  std::map<std::string, std::deque<std::unique_ptr<Waiting>>> waiting_;  // by client; none is empty
  std::deque<std::string> turns_;                         // clients of waiting_, the next first
  std::deque<std::shared_ptr<Reading::State>> readings_;  // the first may be under way
  bool wants_cancel_all_ = false;
  SchedulerStats stats_;
  std::optional<Clock::time_point> step_start_;
  // The thread's own.
  PrefixCache prefix_;
  std::optional<BatchGenerator> generator_;
  std::map<int64_t, Running> running_;  // by uid
  std::vector<std::unique_ptr<PromptCache>> free_caches_;
  std::jthread worker_;  // last: it ends before what it uses
};

}  // namespace lille
