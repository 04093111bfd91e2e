// The forward pass of src/model/lille.cpp over one window, and the way back. A line is an op; T is the number
// of tokens.

#include "model/kl_gradient.h"

#include <cmath>

#include "base/check.h"
#include "model/matrix_rows.h"
#include "ops/gradients.h"
#include "ops/parallel.h"

namespace lille {
namespace {

using ops::FloatMatrix;
using ops::Rows;

FloatMatrix float_matrix(std::span<const LinearPart> parts) {
  FloatMatrix matrix;
  for (const LinearPart& part : parts) matrix.n_rows += part.weight.n_out;
  matrix.n_cols = parts.front().weight.n_in;
  matrix.values = dequantised(parts);
  return matrix;
}

/// What the way back needs of a block.
struct Kept {
  FloatMatrix x;                     ///< (T, n_embd)
  FloatMatrix attn_normed;           ///< (T, n_embd)
  FloatMatrix qkv;                   ///< (T, q_size + 2 * kv_size), rotated
  std::vector<FloatMatrix> weights;  ///< (T, T) for each head
  FloatMatrix attn_heads;            ///< (T, q_size)
  FloatMatrix middle;                ///< (T, n_embd): x and what attention adds
  FloatMatrix ffn_normed;            ///< (T, n_embd)
  FloatMatrix gate;                  ///< (T, hidden_dim)
  FloatMatrix up;                    ///< (T, hidden_dim)
};

/// One window on its way through the model and back.
class Window {
 public:
  Window(const ModelParts& parts, SessionState& state, ModelMatrices& weights, std::span<const int32_t> ids)
      : parts_(parts),
        args_(parts.args),
        state_(state),
        device_(state.device),
        weights_(weights),
        ids_(ids),
        n_tokens_(static_cast<int64_t>(ids.size())),
        kept_(weights.layers.size()) {}

  /// Logits, (T, vocab_size).
  FloatMatrix forward() {
    x_ = FloatMatrix(n_tokens_, args_.n_embd);
    ops::embedding(device_, x_.rows(), weights_.tok_embeddings.weight(), ids_);
    for (std::size_t layer_idx = 0; layer_idx < kept_.size(); ++layer_idx) forward_block(layer_idx);
    final_normed_ = normed(x_, parts_.transformer.norm);
    return product(final_normed_.rows(), weights_.tok_embeddings);
  }

  /// @param d_logits  (T, vocab_size)
  void backward(Rows d_logits, ModelMatrices& gradients) {
    FloatMatrix d_x(n_tokens_, args_.n_embd);
    const FloatMatrix d_normed =
        linear_gradient(gradients.tok_embeddings, d_logits, final_normed_, weights_.tok_embeddings);
    norm_gradient(d_x, d_normed, x_, parts_.transformer.norm);
    for (std::size_t layer_idx = kept_.size(); layer_idx-- > 0;) {
      feed_forward_gradient(layer_idx, d_x, gradients.layers[layer_idx]);
      attention_gradient(layer_idx, d_x, gradients.layers[layer_idx]);
    }
    for (int64_t pos = 0; pos < n_tokens_; ++pos) {
      float* const row = gradients.tok_embeddings.rows().row(ids_[static_cast<std::size_t>(pos)]);
      for (int64_t idx = 0; idx < args_.n_embd; ++idx) row[idx] += d_x.rows().row(pos)[idx];
    }
  }

 private:
  FloatMatrix product(Rows a, const FloatMatrix& b) {
    FloatMatrix out(a.n_rows, b.n_rows);
    ops::multiply(device_, out.rows(), a, b);
    return out;
  }

  FloatMatrix transposed(FloatMatrix& matrix) { return ops::transposed(device_, matrix.rows()); }

  FloatMatrix normed(FloatMatrix& x, const ops::NormWeight& norm) {
    FloatMatrix out(x.n_rows, x.n_cols);
    ops::rms_norm(device_, out.rows(), x.rows(), norm, args_.layer_norm_eps);
    return out;
  }

  void norm_gradient(FloatMatrix& d_x, FloatMatrix d_y, FloatMatrix& x, const ops::NormWeight& norm) {
    ops::rms_norm_gradient(device_, d_x.rows(), d_y.rows(), x.rows(), norm, args_.layer_norm_eps);
  }

  /// For y = x * weight^T: writes gradient = d_y^T * x, returns d_y * weight.
  FloatMatrix linear_gradient(FloatMatrix& gradient, Rows d_y, FloatMatrix& x, FloatMatrix& weight) {
    FloatMatrix d_y_columns = ops::transposed(device_, d_y);
    ops::multiply(device_, gradient.rows(), d_y_columns.rows(), transposed(x));
    return product(d_y, transposed(weight));
  }

  Rows queries(FloatMatrix& qkv, int64_t head) const {
    return qkv.rows().columns(head * args_.head_dim(), args_.head_dim());
  }
  Rows keys(FloatMatrix& qkv, int64_t head) const {
    return qkv.rows().columns(args_.q_size() + head / args_.n_rep() * args_.head_dim(), args_.head_dim());
  }
  Rows values(FloatMatrix& qkv, int64_t head) const {
    return qkv.rows().columns(args_.q_size() + args_.kv_size() + head / args_.n_rep() * args_.head_dim(),
                              args_.head_dim());
  }

  void forward_block(std::size_t layer_idx) {
    const Block& block = parts_.transformer.layers[layer_idx];
    BlockMatrices& weights = weights_.layers[layer_idx];
    Kept& kept = kept_[layer_idx];
    kept.x = x_;
    kept.attn_normed = normed(x_, block.attention.norm);
    kept.qkv = product(kept.attn_normed.rows(), weights.qkv_proj);
    std::vector<int64_t> positions;
    for (int64_t pos = 0; pos < n_tokens_; ++pos) positions.push_back(pos);
    ops::rope(device_, kept.qkv.rows().columns(0, args_.q_size() + args_.kv_size()), parts_.rope_table,
              state_.rope_layout, positions);
    kept.attn_heads = FloatMatrix(n_tokens_, args_.q_size());
    for (int64_t head = 0; head < args_.n_head; ++head) {
      FloatMatrix& shares =
          kept.weights.emplace_back(product(queries(kept.qkv, head), ops::copied(keys(kept.qkv, head))));
      ops::causal_softmax(device_, shares.rows(), scale());
      ops::multiply(device_, queries(kept.attn_heads, head), shares.rows(),
                    ops::transposed(device_, values(kept.qkv, head)));
    }
    ops::add(device_, x_.rows(), product(kept.attn_heads.rows(), weights.out_proj).rows());
    kept.middle = x_;
    kept.ffn_normed = normed(x_, block.feed_forward.norm);
    kept.gate = product(kept.ffn_normed.rows(), weights.gate_proj);
    kept.up = product(kept.ffn_normed.rows(), weights.up_proj);
    ops::add(device_, x_.rows(), product(gated(kept).rows(), weights.down_proj).rows());
  }

  FloatMatrix gated(Kept& kept) {
    FloatMatrix out(kept.gate.n_rows, kept.gate.n_cols);
    ops::swiglu(device_, out.rows(), kept.gate.rows(), kept.up.rows());
    return out;
  }

  void feed_forward_gradient(std::size_t layer_idx, FloatMatrix& d_x, BlockMatrices& gradients) {
    BlockMatrices& weights = weights_.layers[layer_idx];
    Kept& kept = kept_[layer_idx];
    FloatMatrix inner = gated(kept);
    FloatMatrix d_gate = linear_gradient(gradients.down_proj, d_x.rows(), inner, weights.down_proj);
    FloatMatrix d_up(d_gate.n_rows, d_gate.n_cols);
    ops::swiglu_gradient(device_, d_gate.rows(), d_up.rows(), d_gate.rows(), kept.gate.rows(),
                         kept.up.rows());
    FloatMatrix d_normed =
        linear_gradient(gradients.gate_proj, d_gate.rows(), kept.ffn_normed, weights.gate_proj);
    ops::add(device_, d_normed.rows(),
             linear_gradient(gradients.up_proj, d_up.rows(), kept.ffn_normed, weights.up_proj).rows());
    norm_gradient(d_x, std::move(d_normed), kept.middle,
                  parts_.transformer.layers[layer_idx].feed_forward.norm);
  }

  void attention_gradient(std::size_t layer_idx, FloatMatrix& d_x, BlockMatrices& gradients) {
    BlockMatrices& weights = weights_.layers[layer_idx];
    Kept& kept = kept_[layer_idx];
    FloatMatrix d_heads = linear_gradient(gradients.out_proj, d_x.rows(), kept.attn_heads, weights.out_proj);
    FloatMatrix d_qkv(n_tokens_, args_.q_size() + 2 * args_.kv_size());
    for (int64_t head = 0; head < args_.n_head; ++head)
      head_gradient(head, kept, queries(d_heads, head), d_qkv);
    ops::rope_gradient(device_, d_qkv.rows().columns(0, args_.q_size() + args_.kv_size()), parts_.rope_table,
                       state_.rope_layout);
    norm_gradient(d_x, linear_gradient(gradients.qkv_proj, d_qkv.rows(), kept.attn_normed, weights.qkv_proj),
                  kept.x, parts_.transformer.layers[layer_idx].attention.norm);
  }

  /// Adds to the derivatives by the head's queries, keys and values; keys and values are shared by heads.
  void head_gradient(int64_t head, Kept& kept, Rows d_out, FloatMatrix& d_qkv) {
    FloatMatrix& shares = kept.weights[static_cast<std::size_t>(head)];
    FloatMatrix shares_columns = transposed(shares);
    ops::add(device_, values(d_qkv, head),
             product(shares_columns.rows(), ops::transposed(device_, d_out)).rows());
    FloatMatrix d_scores = product(d_out, ops::copied(values(kept.qkv, head)));
    ops::causal_softmax_gradient(device_, d_scores.rows(), shares.rows(), scale());
    ops::multiply(device_, queries(d_qkv, head), d_scores.rows(),
                  ops::transposed(device_, keys(kept.qkv, head)));
    FloatMatrix d_scores_columns = transposed(d_scores);
    ops::add(device_, keys(d_qkv, head),
             product(d_scores_columns.rows(), ops::transposed(device_, queries(kept.qkv, head))).rows());
  }

  float scale() const noexcept { return 1 / std::sqrt(static_cast<float>(args_.head_dim())); }

  const ModelParts& parts_;
  const ModelArgs& args_;
  SessionState& state_;
  ops::Device& device_;
  ModelMatrices& weights_;
  std::span<const int32_t> ids_;
  int64_t n_tokens_;
  std::vector<Kept> kept_;
  FloatMatrix x_;             ///< (T, n_embd), the residual stream
  FloatMatrix final_normed_;  ///< (T, n_embd)
};

/// KL of each row; logits become its mean's derivatives by them, (p_model - p_source) / T.
double divergence_gradient(ops::Device& device, Rows logits, const Logits& source) {
  std::vector<double> kl(static_cast<std::size_t>(logits.n_rows));
  const auto n_tokens = static_cast<double>(logits.n_rows);
  device.pool.run(logits.n_rows, [&](int64_t row_idx, int64_t) {
    float* const row = logits.row(row_idx);
    const float* const source_row = source.row(row_idx).data();
    const double sum = device.kernels.log_sum_exp(row, logits.n_cols);
    const double source_sum = device.kernels.log_sum_exp(source_row, logits.n_cols);
    double of_row = 0;
    for (int64_t idx = 0; idx < logits.n_cols; ++idx) {
      const float log_p = static_cast<float>(source_row[idx] - source_sum);
      const float log_q = static_cast<float>(row[idx] - sum);
      const float p = std::exp(log_p);
      of_row += double{p} * (log_p - log_q);
      row[idx] = static_cast<float>((std::exp(log_q) - p) / n_tokens);
    }
    kl[static_cast<std::size_t>(row_idx)] = of_row;
  });
  double total = 0;
  for (const double of_row : kl) total += of_row;
  return total / n_tokens;
}

}  // namespace

ModelMatrices::ModelMatrices(const Transformer& transformer) {
  const LinearPart embedding = {transformer.tok_embeddings.weight, 0};
  tok_embeddings = float_matrix(std::span(&embedding, 1));
  for (const Block& block : transformer.layers)
    layers.push_back(
        {float_matrix(block.attention.qkv_proj.parts), float_matrix(block.attention.out_proj.parts),
         float_matrix(block.feed_forward.gate_proj.parts), float_matrix(block.feed_forward.up_proj.parts),
         float_matrix(block.feed_forward.down_proj.parts)});
}

double kl_gradient(const ModelParts& parts, SessionState& state, ModelMatrices& weights,
                   std::span<const int32_t> ids, const Logits& source, ModelMatrices& gradients) {
  Window window(parts, state, weights, ids);
  FloatMatrix logits = window.forward();
  const double kl = divergence_gradient(state.device, logits.rows(), source);
  window.backward(logits.rows(), gradients);
  return kl;
}

}  // namespace lille
