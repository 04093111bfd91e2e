#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <vector>

#include "lille/model.h"

namespace lille {

/// The result of perplexity().
struct PerplexityResult {
  double perplexity = 0;              ///< exp(loss)
  double loss = 0;                    ///< Mean of -log p over all predictions, nats a token.
  std::vector<double> window_losses;  ///< Mean of each window.
};

/// What perplexity() tells and obeys while it runs.
struct PerplexityOptions {
  std::function<void(int64_t n_done, int64_t n_windows)> on_progress;  ///< After each window; may be empty.
  std::stop_token cancel;  ///< Looked at between blocks of the model.
};

/// How well the model predicts a text: windows of block_size inputs without overlap, each from an empty
/// cache, the mean of -log p over the block_size next tokens of each; what does not fill a window is dropped.
/// @param ids  at least block_size + 1 of them.
/// @throws Error(kInvalidArgument) for fewer ids, or ids outside the vocabulary; Error(kCanceled).
PerplexityResult perplexity(Session& session, std::span<const int32_t> ids,
                            const PerplexityOptions& options = {});

}  // namespace lille
