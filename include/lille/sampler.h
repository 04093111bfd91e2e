#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "lille/random.h"

namespace lille {

/// What make_sampler composes, under mlx-lm's names and with its defaults; each filter is off by default.
/// docs/SAMPLING.md lists where this differs from mlx-lm.
struct SamplerOptions {
  float temperature = 0;  ///< Finite, >= 0. 0 takes the most likely token and ignores the filters.
  float top_p = 0;        ///< In [0, 1]. Smallest set of likely tokens that holds this much; 0, 1: off.
  float min_p = 0;        ///< In [0, 1]. Least probability relative to the best token's; 0: off.
  int64_t min_tokens_to_keep = 1;  ///< >= 1. min_p leaves at least so many of the best tokens.
  int64_t top_k = 0;               ///< >= 0. Only the k most likely tokens; 0 or at least vocab_size: off.
  float xtc_probability = 0;       ///< In [0, 1]. How often the likeliest tokens are excluded; 0: off.
  float xtc_threshold = 0;         ///< In [0, 0.5]. Above this probability a token counts as likely.
  std::vector<int32_t> xtc_special_tokens = {};  ///< Ids that XTC never excludes, each in [0, vocab_size).
};

/// Draws the next token: top-p, min-p, XTC, top-k, each on what the one before left and without
/// renormalising, then the temperature and one draw. A value, composed once by make_sampler; const calls from
/// several threads are safe. Source: mlx-lm mlx_lm/sample_utils.py make_sampler.
class Sampler {
 public:
  /// Sets the logprobs of tokens it excludes to -inf; may draw from the random state.
  using Filter = std::function<void(std::span<float> logprobs, RandomState& random)>;
  /// Chooses a token id from (vocab_size) log-probabilities.
  using Choice = std::function<int32_t(std::span<const float> logprobs)>;

  /// Draws one token. A token at -inf is never drawn.
  /// @param logprobs  (vocab_size) log-probabilities, as log_softmax gives them; overwritten.
  /// @param random    The sequence's state; advanced by one key, by two with XTC, by none at temperature 0.
  /// @returns The token id, in [0, vocab_size).
  /// @throws Error(kInvalidShape) for another number of values; Error(kInvalidArgument) if one is NaN or
  ///   +inf, or all are -inf, or if a callable chooses what is no token or is at -inf; what it throws.
  int32_t operator()(std::span<float> logprobs, RandomState& random) const;

  /// The filters alone: what is left is the set that the draw chooses from. Does nothing at temperature 0.
  /// @throws Error as operator().
  void filter(std::span<float> logprobs, RandomState& random) const;

  /// Whether it takes the most likely token; it then needs no log_softmax, since any logits give the same
  /// choice.
  bool is_greedy() const noexcept { return temperature_ == 0; }

 private:
  friend Sampler make_sampler(const SamplerOptions& options, int64_t vocab_size);
  friend Sampler make_custom_sampler(Choice choice, int64_t vocab_size);
  Sampler(float temperature, int64_t vocab_size) : temperature_(temperature), vocab_size_(vocab_size) {}

  float temperature_;
  int64_t vocab_size_;
  std::vector<Filter> filters_;
  Choice choice_;  // empty: the temperature decides
};

/// Composes a sampler.
/// @param vocab_size  Number of logits of a token, at least 1.
/// @throws Error(kInvalidArgument) that names the option, its range and what it is; also for filters that
///   temperature 0 would ignore.
Sampler make_sampler(const SamplerOptions& options, int64_t vocab_size);

/// A sampler that asks a callable, without filters and without the sequence's random state. With a drafter
/// the callable is asked about guesses, too.
/// @param vocab_size  Number of logits of a token, at least 1.
/// @throws Error(kInvalidArgument) if the callable is empty or there are no logits.
Sampler make_custom_sampler(Sampler::Choice choice, int64_t vocab_size);

/// Turns logits into log-probabilities in place: logits - ln(sum(exp(logits))), the sum in float64.
/// @param logits  (vocab_size) f32.
/// @throws Error(kInvalidArgument) if one is NaN or +inf, or all are -inf, or there are none.
void log_softmax(std::span<float> logits);

}  // namespace lille
