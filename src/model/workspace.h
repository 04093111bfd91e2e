#pragma once

#include "base/aligned_buffer.h"
#include "lille/model_args.h"
#include "ops/ops.h"

namespace lille {

/// Where the stages of a forward pass put their results; each field is named after its place in the flow.
struct Workspace {
  ops::Rows x;             ///< (n_rows, n_embd), the residual stream
  ops::Rows attn_normed;   ///< (n_rows, n_embd)
  ops::Rows qkv;           ///< (n_rows, q_size + 2 * kv_size)
  ops::Rows attn_heads;    ///< (n_rows, q_size)
  ops::Rows attn_out;      ///< (n_rows, n_embd)
  ops::Rows ffn_normed;    ///< (n_rows, n_embd)
  ops::Rows gate;          ///< (n_rows, hidden_dim)
  ops::Rows up;            ///< (n_rows, hidden_dim)
  ops::Rows ffn_out;       ///< (n_rows, n_embd)
  ops::Rows final_normed;  ///< (n_rows, n_embd)
  ops::Rows logits;        ///< (n_logit_rows, vocab_size)

  /// Sizes every stage for a pass; memory grows to the largest pass seen and is kept.
  void resize(const ModelArgs& args, int64_t n_rows, int64_t n_logit_rows);

 private:
  AlignedBuffer<float> stages_;
  AlignedBuffer<float> logits_buffer_;
};

}  // namespace lille
