#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "lille/error.h"
#include "lille/generate.h"

namespace lille {

/// How many sequences are generated together; the names are mlx-lm's. Answers do not depend on it.
struct BatchOptions {
  int64_t completion_batch_size = 8;  ///< Most sequences in one pass, at least 1; memory grows with it.
  int64_t prefill_batch_size = 8;     ///< Most of them that read their prompt in it, at least 1.
  std::stop_token cancel = {};        ///< Ends all of them; looked at before a pass and between its blocks.
};

/// Answers to many prompts, a token of each at a time, in passes that all of them share. Prompts join and
/// leave between passes. Each answer has the bits it would have alone.
/// One thread uses it at a time, and nothing else uses its session meanwhile. StreamOptions::drafter is not
/// used: its passes have several rows already.
/// Source: mlx_lm/generate.py BatchGenerator.
class BatchGenerator {
 public:
  /// What a pass gave one sequence.
  struct Response {
    int64_t uid = 0;              ///< As insert() returned it.
    GenerationResponse response;  ///< As StreamGenerate gives it; logprobs are valid until the next next().
    std::optional<Error> error;   ///< Instead of a response: the sequence ended here, the others go on.
  };

  /// @throws Error(kInvalidArgument) for a number of sequences below 1.
  BatchGenerator(Session& session, const Tokenizer& tokenizer, BatchOptions options = {});
  ~BatchGenerator();
  BatchGenerator(BatchGenerator&&) noexcept;

  /// Puts a prompt behind those that wait for a place.
  /// @param options  of this prompt; its `cancel` ends this sequence, before the next pass.
  /// @return its uid: 0 for the first, then one more each time.
  /// @throws Error as StreamGenerate; Error(kInvalidArgument) for a prompt cache that another one uses.
  int64_t insert(std::span<const int32_t> prompt, StreamOptions options);

  /// Gives free places to those that wait and runs one pass.
  /// @return a response for each sequence that has a token or has ended; none while prompts are read.
  /// @throws Error(kCanceled) if BatchOptions::cancel asks for it; every sequence is as it was before the
  ///   pass.
  std::vector<Response> next();

  /// Forgets a sequence, and the logprobs of its responses. Returns whether there was one.
  bool remove(int64_t uid);

  /// Sequences that have not ended, those that wait included.
  int64_t n_sequences() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A prompt for batch_generate.
struct BatchPrompt {
  std::vector<int32_t> tokens;  ///< At least one.
  StreamOptions options;        ///< Of this answer alone.
};

/// What batch_generate has for one prompt.
struct BatchResult {
  WholeAnswer answer;          ///< Of an answer that failed: what there was until then.
  std::optional<Error> error;  ///< Why there is no (whole) answer.
};

/// Receives each result as soon as it is there.
using BatchCallback = std::function<void(std::size_t prompt_idx, const BatchResult& result)>;

/// Answers any number of prompts, at most completion_batch_size of them at once; one that fails does not
/// disturb the others.
/// @param on_finished  may be empty.
/// @return the results in the order of the prompts, each equal to that of the prompt's own StreamGenerate.
/// @throws Error(kCanceled); Error as BatchGenerator; whatever on_finished throws.
/// Source: mlx_lm/generate.py batch_generate.
std::vector<BatchResult> batch_generate(Session& session, const Tokenizer& tokenizer,
                                        std::vector<BatchPrompt> prompts, const BatchOptions& options = {},
                                        const BatchCallback& on_finished = {});

}  // namespace lille
