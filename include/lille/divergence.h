#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>

#include "lille/model.h"

namespace lille {

/// The result of divergence().
struct Divergence {
  double mean = 0;            ///< Mean over all predictions of KL(a || b), nats; NaN if a logit of either is.
  double max = 0;             ///< Largest of one prediction; NaN if mean is.
  int64_t max_at = 0;         ///< Index of the token after which that prediction stands.
  double p999 = 0;            ///< 99.9th percentile over the predictions; NaN if mean is.
  double top1_agreement = 0;  ///< Share of predictions whose likeliest token is the same, 0 to 1.
  int64_t n_predictions = 0;  ///< One after each token.
  int64_t n_windows = 0;      ///< Pieces in which the tokens were read.
};

/// What divergence() tells and obeys while it runs.
struct DivergenceOptions {
  std::function<void(int64_t n_done, int64_t n_tokens)> on_progress;  ///< May be empty.
  std::stop_token cancel;  ///< Looked at between blocks of the models.
};

/// How far the predictions of one model are from those of another on a text: the Kullback-Leibler divergence
/// of b's next-token distribution from a's, sum of p_a * (log p_a - log p_b), in float64 from the logits. The
/// tokens are read in windows of the smaller block_size without overlap, each from empty caches; the last may
/// be shorter.
/// @param ids  at least one.
/// @throws Error(kInvalidArgument) for vocabularies of different sizes, no ids, or ids outside the
///   vocabulary; Error(kCanceled).
Divergence divergence(Session& a, Session& b, std::span<const int32_t> ids,
                      const DivergenceOptions& options = {});

}  // namespace lille
