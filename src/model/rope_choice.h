#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lille/model.h"
#include "lille/tokenizer.h"

namespace lille {

/// Three layouts, all of them, in the order in which they are reported.
inline constexpr RopeLayout kRopeLayouts[] = {RopeLayout::kInterleaved, RopeLayout::kHalf,
                                              RopeLayout::kOriginal};

/// How badly each token of the built-in English text was predicted under each layout.
struct RopeLosses {
  std::vector<int64_t> positions;                                   ///< Of the tokens that predict, from 0.
  std::array<std::vector<double>, std::size(kRopeLayouts)> losses;  ///< Nats, in the order of kRopeLayouts.
};

/// Measures all 1,024 predictions under every layout, from an empty cache where the context is full.
/// @param model        its own layout is not looked at.
/// @param on_progress  called after each pass, as LoadOptions::on_progress; may be empty.
RopeLosses measure_rope_losses(const Model& model, const Tokenizer& tokenizer, const SessionOptions& options,
                               const std::function<void(int64_t n_done, int64_t n_total)>& on_progress);

/// The layout whose loss is below that of each other by more than three standard errors of the paired
/// difference, with source kMeasured; interleaved with source kDefault where there is none.
RopeChoice choose_rope_layout(const RopeLosses& measured);

/// Measures the loss of a built-in English text under each layout, up to 128 tokens at a time, until the best
/// one's paired difference to each of the others is beyond three standard errors, at most over 1,024 tokens.
/// @param model        its own layout is not looked at.
/// @param on_progress  called after each pass, as LoadOptions::on_progress; may be empty.
/// @return the winner with source kMeasured, or interleaved with source kDefault where none is clearly best.
RopeChoice measure_rope_layout(const Model& model, const Tokenizer& tokenizer, const SessionOptions& options,
                               const std::function<void(int64_t n_done, int64_t n_total)>& on_progress);

/// "interleaved 132.3, half 113.7, original 106.0", for people.
std::string perplexities_text(std::span<const RopePerplexity> perplexities);

/// The layouts measured by earlier loads, in one file of a cache folder. A checkpoint is known by the path,
/// size and time of change of each of its files. What cannot be read counts as empty and what cannot be
/// written is not remembered: a cache is no reason to fail.
class RopeMemory {
 public:
  /// @param folder  empty: nothing is remembered.
  explicit RopeMemory(std::filesystem::path folder);

  /// @param files  what the result depends on: weights and config.json.
  /// @return what was stored for exactly these files; its source is kRemembered, or kDefault if no layout had
  ///   won.
  std::optional<RopeChoice> recall(std::span<const std::filesystem::path> files) const;
  void remember(std::span<const std::filesystem::path> files, const RopeChoice& choice) const;

 private:
  std::filesystem::path file_;
};

}  // namespace lille
