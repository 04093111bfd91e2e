#pragma once

#include <span>

#include "lille/model.h"

namespace lille {

/// What the model would predict if the blocks that follow were left out (the logit lens): hidden states, put
/// through the last norm and the output projection.
/// @param hidden  (n_rows, n_embd), as Observer::hidden_state gives them for hidden_idx 0 to n_layer.
/// @return (n_rows, vocab_size), valid until the session's next pass. Those of the last block are the logits
///   of the pass, bit for bit.
/// @throws Error(kInvalidShape) for no row, or a part of one.
/// Source: nostalgebraist, "interpreting GPT: the logit lens" (2020); arXiv 2303.08112, section 2.
Logits logit_lens(Session& session, std::span<const float> hidden);

}  // namespace lille
