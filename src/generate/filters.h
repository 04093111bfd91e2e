#pragma once

#include <cstdint>
#include <span>

#include "lille/random.h"

namespace lille {

// The filters of make_sampler, under mlx-lm's names. Each sets the log-probabilities of the tokens it
// excludes to -inf and leaves the others as they are; each leaves one token at least. They trust their
// caller: the values have a finite maximum and no NaN, and parameters are in range. Source: mlx-lm
// mlx_lm/sample_utils.py.

/// Keeps the smallest set of likely tokens that holds `top_p` of the probability: in ascending order, a token
/// stays if the sum up to and including it is above 1 - top_p; as all sum to 1, that is if the tokens after
/// it hold less than top_p. Of equal tokens the higher ids stay. The likeliest token always stays. Sums are
/// in float64.
/// @param logprobs  (vocab_size) f32, normalised.
/// @param top_p     In (0, 1).
void apply_top_p(std::span<float> logprobs, float top_p);

/// Keeps tokens with logprob >= max + ln(min_p), and the `min_tokens_to_keep` likeliest ones (of equal ones
/// the lower ids) in any case.
/// @param min_p  In (0, 1].
void apply_min_p(std::span<float> logprobs, float min_p, int64_t min_tokens_to_keep);

/// Exclude top choices: of the tokens whose probability, under a softmax of what earlier filters left, is
/// above `xtc_threshold`, only the least likely and its equals stay. Skipped if a uniform number from `key`
/// is above `xtc_probability`.
/// @param xtc_special_tokens  Ids that stay in any case, in ascending order without duplicates.
void apply_xtc(std::span<float> logprobs, float xtc_probability, float xtc_threshold,
               std::span<const int32_t> xtc_special_tokens, RandomKey key);

/// Keeps the `top_k` likeliest tokens; of equal ones the lower ids.
/// @param top_k  At least 1.
void apply_top_k(std::span<float> logprobs, int64_t top_k);

}  // namespace lille
