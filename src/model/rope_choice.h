#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <span>

#include "lille/model.h"
#include "lille/tokenizer.h"

namespace lille {

/// Three layouts, all of them, in the order in which they are reported.
inline constexpr RopeLayout kRopeLayouts[] = {RopeLayout::kInterleaved, RopeLayout::kHalf,
                                              RopeLayout::kOriginal};

/// Measures the loss of a built-in English text under each layout, up to 128 tokens at a time, until the best
/// one's paired difference to each of the others is beyond three standard errors, at most over 1,024 tokens.
/// @param model        its own layout is not looked at.
/// @param on_progress  called after each pass, as LoadOptions::on_progress; may be empty.
/// @return the winner with source kMeasured, or interleaved with source kDefault where none is clearly best.
RopeChoice measure_rope_layout(const Model& model, const Tokenizer& tokenizer, const SessionOptions& options,
                               const std::function<void(int64_t n_done, int64_t n_total)>& on_progress);

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
