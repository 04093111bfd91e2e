#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "lille/model.h"

namespace lille {

/// How perplexity() cuts a text and what it tells and obeys while it runs.
struct PerplexityOptions {
  int64_t window = 0;  ///< Tokens that a window reads, 1 to block_size; 0: block_size.
  int64_t stride = 0;  ///< Tokens from one window to the next, 1 to window; 0: window, no overlap.
  std::optional<int32_t>
      bos;  ///< Each window begins with this token, which is not predicted; empty: with the text.
  std::function<void(int64_t n_done, int64_t n_windows)> on_progress;  ///< After each window; may be empty.
  std::stop_token cancel;  ///< Looked at between blocks of the model.
};

/// The predictions at some positions of their windows.
struct PerplexityPositions {
  int64_t begin = 0;     ///< First position: how many tokens the model had read, less one.
  int64_t end = 0;       ///< After the last.
  int64_t n_tokens = 0;  ///< Predicted there.
  double loss = 0;       ///< Mean of -log p, nats a token.
};

/// The result of perplexity().
struct PerplexityResult {
  double perplexity = 0;        ///< exp(loss)
  double loss = 0;              ///< Mean of -log p over all predictions, nats a token.
  double loss_error = 0;        ///< Its standard error with tokens as independent samples; NaN for one token.
  double window_error = 0;      ///< The same with means of windows as the samples; NaN for one window.
  int64_t window = 0;           ///< Tokens that a window read.
  int64_t stride = 0;           ///< Tokens from one window to the next.
  int64_t first_predicted = 0;  ///< Index in ids of the first token that was predicted.
  std::vector<double> token_losses;  ///< -log p of ids[first_predicted], and of those that follow it.
  std::vector<int64_t> positions;    ///< Of each: how many tokens of its window the model had read, less one.
  std::vector<double>
      window_losses;  ///< Mean of each window over the tokens that it was the first to predict.
};

/// How well the model predicts a text, read in windows, each from an empty cache. The first window predicts
/// the token after each that it reads; with a stride smaller than the window the others count only the tokens
/// that no window before predicted, so that each token counts once, after at least window - stride others.
/// What fills no window is left out.
/// @param ids  at least window + 1 of them; with bos at least window.
/// @throws Error(kInvalidArgument) for fewer ids, ids outside the vocabulary, or a window or stride out of
/// range;
///   Error(kCanceled).
PerplexityResult perplexity(Session& session, std::span<const int32_t> ids,
                            const PerplexityOptions& options = {});

/// The loss at positions 0, 1, 2 to 3, 4 to 7, and so on; ranges without a prediction are left out.
std::vector<PerplexityPositions> loss_by_position(const PerplexityResult& result);

}  // namespace lille
