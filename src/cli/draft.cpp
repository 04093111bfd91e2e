#include "cli/draft.h"

#include <fmt/format.h>

#include "tokenizer/token_difference.h"

namespace lille::cli {
namespace {

constexpr std::string_view kLookup = "lookup";

Model load_draft_model(const DraftOptions& options, const Session& target, const Environment& environment) {
  ModelOptions model;
  model.model = options.draft;
  model.threads = target.n_threads();
  return load_model(model, environment);
}

void check_tokenizers(const Model& draft_model, const Session& target, const Tokenizer& tokenizer) {
  const std::string difference =
      token_difference(load_tokenizer(draft_model), printable_path(draft_model.path()), tokenizer,
                       printable_path(target.model().path()));
  if (difference.empty()) return;
  raise(ErrorCode::kInvalidArgument, "expected a model with the tokenizer of the one that answers, got {}",
        difference);
}

double tokens_per_pass(const DraftStats& stats, int64_t generation_tokens) {
  if (stats.n_passes == 0) return 0;
  return static_cast<double>(generation_tokens) / static_cast<double>(stats.n_passes);
}

}  // namespace

Draft::Draft(const DraftOptions& options, const Session& target, const Tokenizer& tokenizer,
             const ComputeOptions& compute, const Environment& environment) {
  check_ranges(options);
  num_draft_tokens_ = options.num_draft_tokens.value_or(num_draft_tokens_);
  is_adaptive_ = options.adaptive_draft.value_or(is_adaptive_);
  if (options.draft.empty() && (options.num_draft_tokens || options.adaptive_draft))
    raise(ErrorCode::kInvalidArgument, "{}: expected --draft beside it",
          options.num_draft_tokens ? "--num-draft-tokens" : "--adaptive-draft");
  if (options.draft.empty()) return;
  if (options.draft == kLookup) {
    drafter_ = make_lookup_drafter();
    return;
  }
  // The errors of a model name a file or a repository; which flag led there is said before them.
  try {
    const Model model = load_draft_model(options, target, environment);
    session_ = std::make_unique<Session>(model, session_options(target.n_threads(), compute, environment));
    drafter_ = make_model_drafter(*session_, target.model());
    check_tokenizers(model, target, tokenizer);
  } catch (const Error& error) {
    raise(error.code(), "--draft: {}", error.what());
  }
}

void Draft::use_for(StreamOptions& options) const {
  options.drafter = drafter_.get();
  options.num_draft_tokens = num_draft_tokens_;
  options.adaptive_draft = is_adaptive_;
}

std::string draft_text(const DraftStats& stats, int64_t generation_tokens) {
  return fmt::format("draft: {} of {} tokens accepted ({:.1f} %), {} tokens in {} passes ({:.2f} a pass)",
                     stats.n_accepted, stats.n_drafted, 100 * stats.acceptance_rate(), generation_tokens,
                     stats.n_passes, tokens_per_pass(stats, generation_tokens));
}

nlohmann::ordered_json draft_json(const DraftStats& stats, int64_t generation_tokens) {
  return {{"drafted_tokens", stats.n_drafted},
          {"accepted_tokens", stats.n_accepted},
          {"acceptance_rate", stats.acceptance_rate()},
          {"passes", stats.n_passes},
          {"tokens_per_pass", tokens_per_pass(stats, generation_tokens)}};
}

}  // namespace lille::cli
