// The model, top to bottom in the order of mlx_lm/models/lille-130m.py: Attention, MLP, Block, Transformer,
// Model.sanitize. A line is an op; shapes stand beside it.

#include "model/lille.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/check.h"
#include "base/text.h"
#include "model/access.h"
#include "model/cache_type.h"

namespace lille {

void Attention::forward(Pass& pass, ops::Rows out, ops::Rows x) const {
  const ModelArgs& args = pass.args;
  Workspace& ws = pass.workspace;
  const ops::Rows queries = ws.qkv.columns(0, args.q_size());
  const ops::Rows keys = ws.qkv.columns(args.q_size(), args.kv_size());
  const ops::Rows values = ws.qkv.columns(args.q_size() + args.kv_size(), args.kv_size());

  ops::rms_norm(pass.device, ws.attn_normed, x, norm, args.layer_norm_eps);            // (n_rows, n_embd)
  qkv_proj.forward(pass.device, ws.qkv, ws.attn_normed);                               // (n_rows, q + 2 kv)
  ops::rope(pass.device, queries, pass.rope_table, pass.rope_layout, pass.positions);  // (n_rows, q_size)
  ops::rope(pass.device, keys, pass.rope_table, pass.rope_layout, pass.positions);     // (n_rows, kv_size)
  pass.update_and_fetch(layer_idx, keys, values);
  const ops::AttentionShape shape = {args.n_head, args.n_kv_heads, args.head_dim(),
                                     cache_kind(pass.batch.front().cache->type())};
  ops::scaled_dot_product_attention(pass.device, ws.attn_heads, queries, pass.visible,
                                    shape);           // (n_rows, q_size)
  out_proj.forward(pass.device, out, ws.attn_heads);  // (n_rows, n_embd)

  Observer* observer = pass.options.observer;
  if (observer == nullptr || !observer->wants_attention_weights()) return;
  for (int64_t row_idx = 0; row_idx < x.n_rows; ++row_idx)
    observer->attention_weights(layer_idx, row_idx,
                                ops::attention_weights(queries.row(row_idx), pass.visible[row_idx], shape));
}

void MLP::forward(Pass& pass, ops::Rows out, ops::Rows x) const {
  Workspace& ws = pass.workspace;
  ops::rms_norm(pass.device, ws.ffn_normed, x, norm, pass.args.layer_norm_eps);  // (n_rows, n_embd)
  Linear::forward_both(pass.device, gate_proj, ws.gate, up_proj, ws.up,
                       ws.ffn_normed);                // (n_rows, hidden_dim)
  ops::swiglu(pass.device, ws.gate, ws.gate, ws.up);  // (n_rows, hidden_dim)
  down_proj.forward(pass.device, out, ws.gate);       // (n_rows, n_embd)
}

void Block::forward(Pass& pass, ops::Rows x) const {
  Workspace& ws = pass.workspace;
  attention.forward(pass, ws.attn_out, x);
  ops::add(pass.device, x, ws.attn_out);
  feed_forward.forward(pass, ws.ffn_out, x);
  ops::add(pass.device, x, ws.ffn_out);
}

namespace {

void observe(const Pass& pass, int64_t hidden_idx, ops::Rows rows) {
  if (pass.options.observer == nullptr) return;
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>(rows.n_rows * rows.n_cols));
  for (int64_t row_idx = 0; row_idx < rows.n_rows; ++row_idx)
    values.insert(values.end(), rows.row(row_idx), rows.row(row_idx) + rows.n_cols);
  pass.options.observer->hidden_state(hidden_idx, values);
}

// Moves the rows that get logits to the front, so that the output projection, a fifth of all work, skips the
// others.
ops::Rows gather(ops::Rows rows, std::span<const int64_t> row_indices) {
  for (std::size_t idx = 0; idx < row_indices.size(); ++idx)
    std::copy_n(rows.row(row_indices[idx]), rows.n_cols, rows.row(static_cast<int64_t>(idx)));
  rows.n_rows = static_cast<int64_t>(row_indices.size());
  return rows;
}

}  // namespace

void Transformer::forward(Pass& pass) const {
  Workspace& ws = pass.workspace;
  const auto n_layer = static_cast<int64_t>(layers.size());
  tok_embeddings.forward(pass.device, ws.x, pass.ids);  // (n_rows, n_embd)
  observe(pass, 0, ws.x);
  for (int64_t layer_idx = 0; layer_idx < n_layer; ++layer_idx) {
    if (pass.options.cancel.stop_requested()) raise(ErrorCode::kCanceled, "[forward] canceled by the caller");
    layers[layer_idx].forward(pass, ws.x);  // (n_rows, n_embd)
    observe(pass, layer_idx + 1, ws.x);
    if (pass.options.on_progress) pass.options.on_progress(layer_idx + 1, n_layer);
  }
  if (pass.logit_rows.empty() && pass.options.observer == nullptr) return;
  ops::rms_norm(pass.device, ws.final_normed, ws.x, norm, pass.args.layer_norm_eps);  // (n_rows, n_embd)
  observe(pass, n_layer + 1, ws.final_normed);
  if (pass.logit_rows.empty()) return;
  const ops::Rows chosen = gather(ws.final_normed, pass.logit_rows);  // (n_logit_rows, n_embd)
  tok_embeddings.as_linear(pass.device, ws.logits, chosen);           // (n_logit_rows, vocab_size)
}

void Pass::update_and_fetch(int64_t layer_idx, ops::Rows keys, ops::Rows values) {
  int64_t first_row = 0;
  for (const BatchItem& item : batch) {
    const auto n_tokens = static_cast<int64_t>(item.tokens.size());
    KVCache& cache = Access::layers(*item.cache)[layer_idx];
    const auto [all_keys, all_values] =
        cache.update_and_fetch(keys.rows(first_row, n_tokens), values.rows(first_row, n_tokens));
    for (int64_t row_idx = first_row; row_idx < first_row + n_tokens; ++row_idx)
      visible[row_idx] = {all_keys, all_values, cache.capacity(), positions[row_idx] + 1};
    first_row += n_tokens;
  }
}

namespace {

constexpr std::string_view kPrefix = "transformer.";
constexpr std::string_view kEmbedding = "transformer.tok_embeddings";
constexpr std::string_view kHead = "transformer.lm_head";

std::string model_name(std::string_view name) {
  for (bool stripped = true; stripped;) {
    stripped = false;
    for (const std::string_view wrapper : {"_orig_mod.", "module."}) {
      if (!name.starts_with(wrapper)) continue;
      name.remove_prefix(wrapper.size());
      stripped = true;
    }
  }
  return name.starts_with(kPrefix) ? std::string(name) : std::string(kPrefix) + std::string(name);
}

bool same_values(const TensorView& a, const TensorView& b) {
  return a.dtype == b.dtype && a.shape == b.shape && std::ranges::equal(a.bytes, b.bytes);
}

}  // namespace

std::vector<NamedTensor> keep_parameters(std::vector<NamedTensor> tensors,
                                         const WarningCallback& on_warning) {
  std::vector<NamedTensor> kept;
  std::vector<NamedTensor> heads;
  std::unordered_map<std::string, TensorView> seen;
  for (NamedTensor& tensor : tensors) {
    if (tensor.name.find("rotary_emb") != std::string::npos) continue;
    const auto [earlier, is_new] = seen.emplace(tensor.name, tensor.view);
    if (!is_new)
      raise(ErrorCode::kCorruptFile, "[sanitize] {}: tensors {} and {} are both {}", tensor.view.file,
            printable(earlier->second.name), printable(tensor.view.name), printable(tensor.name));
    const bool is_head = tensor.name.starts_with(kHead) && tensor.name[kHead.size()] == '.';
    (is_head ? heads : kept).push_back(std::move(tensor));
  }
  for (const NamedTensor& head : heads) {
    const auto embedding = seen.find(std::string(kEmbedding) + head.name.substr(kHead.size()));
    if (embedding != seen.end() && same_values(head.view, embedding->second)) continue;
    if (on_warning)
      on_warning(fmt::format(
          "{}: {} differs from the token embedding, but Lille's output projection is the embedding. "
          "It is left out, and the logits are not those of the program that wrote the file.",
          head.view.file, printable(head.view.name)));
  }
  return kept;
}

std::vector<NamedTensor> sanitize(std::span<const TensorView> tensors, const WarningCallback& on_warning) {
  std::vector<NamedTensor> named;
  for (const TensorView& tensor : tensors) named.push_back({model_name(tensor.name), tensor});
  return keep_parameters(std::move(named), on_warning);
}

}  // namespace lille
