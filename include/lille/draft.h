#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "lille/model.h"
#include "lille/random.h"
#include "lille/sampler.h"

namespace lille {

/// Most tokens that are drafted for one pass.
inline constexpr int64_t kMaxDraftTokens = 32;

/// What a drafter is asked.
struct DraftRequest {
  std::span<const int32_t> tokens;  ///< All tokens so far, the prompt first; at least one.
  int64_t n_tokens = 0;             ///< Draft at most so many, at least 1.
  const Sampler& sampler;           ///< How the tokens of the sequence itself are drawn,
  RandomState random;               ///< and the random numbers that the next of them are drawn with.
  std::stop_token cancel;           ///< To be looked at where drafting takes long.
};

/// Guesses how a sequence goes on (docs/GENERATION.md). The model reads the guesses in one pass, draws its
/// own token at each of them, and what was read stays as long as both are the same: a guess decides how soon
/// a token is known, never which.
class Drafter {
 public:
  virtual ~Drafter() = default;

  /// The tokens that may follow, the next one first; none without an idea.
  /// @throws Error(kCanceled); anything else, which GenerateStep::next passes on.
  virtual std::vector<int32_t> draft(const DraftRequest& request) = 0;
};

/// Looks where the last tokens stood before, in the prompt or in the answer, and drafts what followed them
/// there: of all such places one where most of the last tokens are the same, of equal ones the latest.
/// Source: the idea is prompt lookup decoding, github.com/apoorvumang/prompt-lookup-decoding.
/// @param min_ngram  So many of the last tokens must be the same, at least 1.
/// @throws Error(kInvalidArgument) for a min_ngram below 1.
std::unique_ptr<Drafter> make_lookup_drafter(int64_t min_ngram = 2);

/// Drafts with a smaller model, which draws each token with the sampler and the random numbers that the
/// sequence will draw it with: the more alike their predictions, the more often both draw the same. It has a
/// cache of its own, which keeps what the next sequence shares with the one before.
/// @param draft_model  has the model; outlives the drafter. Not the session that generates.
/// @param model        whose tokens it drafts.
/// @throws Error(kInvalidArgument) if the vocabularies differ in size, with both sizes.
/// Source: arXiv 2211.17192; mlx_lm/generate.py speculative_generate_step.
std::unique_ptr<Drafter> make_model_drafter(Session& draft_model, const Model& model);

/// What drafting did for an answer so far.
struct DraftStats {
  int64_t n_passes = 0;    ///< Passes of the model that gave tokens, the prompt's last one included.
  int64_t n_drafted = 0;   ///< Drafted tokens that were read.
  int64_t n_accepted = 0;  ///< Of these: tokens of the answer.

  /// n_accepted / n_drafted; 0 if there were none.
  double acceptance_rate() const noexcept;
};

}  // namespace lille
