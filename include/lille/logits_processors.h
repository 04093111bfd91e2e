#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

namespace lille {

/// Changes the logits of the next token by what stands before it: a penalty, a bias, a grammar.
/// One object serves one sequence. It may keep state about the tokens it was shown; rollback() takes state
/// back when tokens are withdrawn, clone() copies it when a sequence branches.
class LogitsProcessor {
 public:
  virtual ~LogitsProcessor() = default;

  /// @param tokens  All tokens so far, the prompt first. Since the last call tokens were only appended,
  ///   except where rollback() said otherwise.
  /// @param logits  (vocab_size) raw logits of the next token; -inf excludes a token.
  virtual void process(std::span<const int32_t> tokens, std::span<float> logits) = 0;

  /// The sequence consists of its first `n_tokens` tokens again; state is to be as if no later one had been
  /// shown. Does nothing where there is no state.
  virtual void rollback(int64_t /*n_tokens*/) {}

  /// A copy with its own state.
  virtual std::unique_ptr<LogitsProcessor> clone() const = 0;
};

/// Processors in the order they run in. A value: a copy has its own state.
class LogitsProcessors {
 public:
  LogitsProcessors() = default;
  /// Clones each processor.
  LogitsProcessors(const LogitsProcessors& other);
  /// Clones each processor.
  LogitsProcessors& operator=(const LogitsProcessors& other);
  LogitsProcessors(LogitsProcessors&&) noexcept = default;
  LogitsProcessors& operator=(LogitsProcessors&&) noexcept = default;

  /// Appends a processor; null is ignored.
  void add(std::unique_ptr<LogitsProcessor> processor);

  /// Runs each processor on what the one before left; arguments as LogitsProcessor::process.
  /// @throws Error(kInvalidArgument) if a penalty meets a token id that has no logit; whatever a callable
  ///   throws.
  void process(std::span<const int32_t> tokens, std::span<float> logits);

  /// Calls rollback(n_tokens) of each.
  void rollback(int64_t n_tokens);

  /// How many processors there are.
  size_t size() const noexcept { return processors_.size(); }
  /// Whether there are none.
  bool empty() const noexcept { return processors_.empty(); }

 private:
  std::vector<std::unique_ptr<LogitsProcessor>> processors_;
};

/// What make_logits_processors composes, under mlx-lm's names and with its defaults. A context size counts
/// the last tokens, prompt included, that a penalty looks at; 0 is all of them. docs/SAMPLING.md lists where
/// this differs from mlx-lm.
struct LogitsProcessorOptions {
  std::map<int32_t, float> logit_bias = {};  ///< Added to the logit of a token id; -inf excludes it.
  float repetition_penalty = 0;          ///< >= 0. Negative logits times it, others divided by it; 0: off.
  int64_t repetition_context_size = 20;  ///< >= 0.
  float presence_penalty = 0;            ///< Subtracted once from each token that occurs; 0: off.
  int64_t presence_context_size = 20;    ///< >= 0.
  float frequency_penalty = 0;           ///< Subtracted once for each occurrence; 0: off.
  int64_t frequency_context_size = 20;   ///< >= 0.
};

/// Composes what is switched on, in the order bias, repetition, presence, frequency.
/// @param vocab_size  Number of logits of a token, at least 1.
/// @throws Error(kInvalidArgument) that names the option, its range and what it is.
/// Source: mlx-lm mlx_lm/sample_utils.py make_logits_processors.
LogitsProcessors make_logits_processors(const LogitsProcessorOptions& options, int64_t vocab_size);

/// A processor without state from a callable; arguments as LogitsProcessor::process.
/// @throws Error(kInvalidArgument) if the callable is empty.
std::unique_ptr<LogitsProcessor> make_processor(
    std::function<void(std::span<const int32_t> tokens, std::span<float> logits)> callable);

}  // namespace lille
