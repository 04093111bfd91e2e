#pragma once

#include <memory>
#include <span>
#include <vector>

#include "io/safetensors.h"
#include "lille/model.h"
#include "model/kv_cache.h"
#include "model/linear.h"
#include "model/model_source.h"
#include "model/workspace.h"
#include "ops/ops.h"

namespace lille {

/// One forward pass: what it reads, where it computes, whom it tells. Lives on the stack of Session::forward.
struct Pass {
  const ModelArgs& args;
  RopeLayout rope_layout;
  const ops::RopeTable& rope_table;
  ops::Device& device;
  Workspace& workspace;
  std::span<const BatchItem> batch;
  std::vector<int32_t> ids;                ///< (n_rows) all items one after the other
  std::vector<int64_t> positions;          ///< (n_rows) position of each row in its own sequence
  std::vector<int64_t> logit_rows;         ///< rows that get logits, ascending
  std::vector<ops::AttentionRow> visible;  ///< (n_rows) what each row attends to in the current layer
  const ForwardOptions& options;

  /// Appends every item's keys and values to its own cache and points `visible` at them.
  void update_and_fetch(int64_t layer_idx, ops::Rows keys, ops::Rows values);
};

/// Grouped-query attention with rotary positions, its norm before it.
/// Source: mlx_lm/models/lille-130m.py Lille130mAttention.
struct Attention {
  int64_t layer_idx = 0;
  ops::NormWeight norm;
  Linear qkv_proj;  ///< (q_size + 2 * kv_size, n_embd): queries, keys and values of all heads in one product
  Linear out_proj;  ///< (n_embd, q_size)

  /// @param out, x  (n_rows, n_embd); out is what the block adds to x.
  void forward(Pass& pass, ops::Rows out, ops::Rows x) const;
};

/// SwiGLU feed-forward layer (arXiv 2002.05202), its norm before it. Inner width: ModelArgs::hidden_dim.
/// Source: mlx_lm/models/lille-130m.py Lille130mMLP.
struct MLP {
  ops::NormWeight norm;
  Linear gate_proj;  ///< (hidden_dim, n_embd)
  Linear up_proj;    ///< (hidden_dim, n_embd)
  Linear down_proj;  ///< (n_embd, hidden_dim)

  /// @param out, x  (n_rows, n_embd); out is what the block adds to x.
  void forward(Pass& pass, ops::Rows out, ops::Rows x) const;
};

/// Attention, then MLP, each added to the residual stream.
/// Source: mlx_lm/models/lille-130m.py Lille130Block.
struct Block {
  Attention attention;
  MLP feed_forward;

  /// @param x  (n_rows, n_embd), in place.
  void forward(Pass& pass, ops::Rows x) const;
};

/// The stack: embedding, blocks, last norm, and the embedding again as output projection.
/// Source: mlx_lm/models/lille-130m.py Lille130.
struct Transformer {
  Embedding tok_embeddings;  ///< (vocab_size, n_embd)
  std::vector<Block> layers;
  ops::NormWeight norm;

  /// Leaves logits of pass.logit_rows in the workspace.
  /// @throws Error(kCanceled) between blocks if the caller asked to stop.
  void forward(Pass& pass) const;
};

/// What a Model handle shares: arguments, mapped files and the weights that point into them.
struct ModelParts {
  ModelArgs args;
  std::unique_ptr<const ModelSource> source;
  Transformer transformer;
  ops::RopeTable rope_table;
  std::vector<Model::Part> summary;
  std::vector<Model::Storage> storage;
  RopeChoice rope;
};

/// Removes what stands among the tensors of a checkpoint and is no parameter of the model: everything called
/// `rotary_emb`, whose tables follow from rope_theta, and `transformer.lm_head.*`, since the output
/// projection is the embedding. If its values differ from the embedding's, the checkpoint was not tied and
/// its logits will be others, which a warning says.
/// @param tensors  under the model's names.
/// @throws Error(kCorruptFile) if two tensors have one name.
std::vector<NamedTensor> keep_parameters(std::vector<NamedTensor> tensors, const WarningCallback& on_warning);

/// Renames and removes what foreign writers do differently, and only that:
/// - `_orig_mod.` (torch.compile) and `module.` (data parallel training) before a name are stripped, in any
///   order;
/// - a name without `transformer.` gets it, as the author's own checkpoints have none;
/// - keep_parameters.
/// @throws Error(kCorruptFile) if two tensors end up with one name.
/// Source: mlx_lm/models/lille-130m.py Model.sanitize; Nikityyy/lille train.py.
std::vector<NamedTensor> sanitize(std::span<const TensorView> tensors, const WarningCallback& on_warning);

}  // namespace lille
