#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/cli.h"

namespace lille::cli {

/// What --draft names.
class Draft {
 public:
  /// Loads the model, if one is named.
  /// @param target  that answers.
  /// @throws Error(kInvalidArgument) that names the flag, the models and the first difference, unless both
  ///   have the same tokens; for the other options of a draft without --draft; else as load_model.
  Draft(const DraftOptions& options, const Session& target, const Tokenizer& tokenizer,
        const ComputeOptions& compute, const Environment& environment);

  /// Has an answer use it.
  void use_for(StreamOptions& options) const;

  /// Whether --draft is given.
  explicit operator bool() const noexcept { return drafter_ != nullptr; }

 private:
  std::unique_ptr<Session> session_;
  std::unique_ptr<Drafter> drafter_;
  int64_t num_draft_tokens_ = GenerateStepOptions().num_draft_tokens;
  bool is_adaptive_ = true;
};

/// "draft: 12 of 20 tokens accepted (60.0 %), 31 tokens in 19 passes (1.63 a pass)"
std::string draft_text(const DraftStats& stats, int64_t generation_tokens);

/// The same as fields (docs/GENERATION.md).
nlohmann::ordered_json draft_json(const DraftStats& stats, int64_t generation_tokens);

}  // namespace lille::cli
