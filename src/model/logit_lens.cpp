#include "lille/logit_lens.h"

#include <algorithm>

#include "base/check.h"
#include "model/session.h"

namespace lille {

Logits logit_lens(Session& session, std::span<const float> hidden) {
  SessionState& state = Access::state(session);
  const ModelParts& parts = Access::parts(state.model);
  const auto n_embd = static_cast<std::size_t>(parts.args.n_embd);
  if (hidden.empty() || hidden.size() % n_embd != 0)
    raise(ErrorCode::kInvalidShape,
          "[logit_lens] hidden: expected rows of n_embd = {} numbers, got {} numbers", n_embd, hidden.size());
  const auto n_rows = static_cast<int64_t>(hidden.size() / n_embd);
  Workspace& ws = state.workspace;
  ws.resize(parts.args, n_rows, n_rows);
  for (int64_t row_idx = 0; row_idx < n_rows; ++row_idx)
    std::ranges::copy(hidden.subspan(static_cast<std::size_t>(row_idx) * n_embd, n_embd), ws.x.row(row_idx));
  const Transformer& transformer = parts.transformer;
  ops::rms_norm(state.device, ws.final_normed, ws.x, transformer.norm, parts.args.layer_norm_eps);
  transformer.tok_embeddings.as_linear(state.device, ws.logits, ws.final_normed);
  return {{ws.logits.data, static_cast<std::size_t>(n_rows * ws.logits.n_cols)}, n_rows, ws.logits.n_cols};
}

}  // namespace lille
