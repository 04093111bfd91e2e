#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/lille.h"
#include "model/session.h"
#include "ops/float_matrix.h"

namespace lille {

/// The matrices of a block in float32.
struct BlockMatrices {
  ops::FloatMatrix qkv_proj;
  ops::FloatMatrix out_proj;
  ops::FloatMatrix gate_proj;
  ops::FloatMatrix up_proj;
  ops::FloatMatrix down_proj;
};

/// The matrices of a model in float32: its weights, or the derivatives of a number by them.
struct ModelMatrices {
  /// Those of the model, in its own order.
  explicit ModelMatrices(const Transformer& transformer);

  /// Calls visit(name, matrix) for each, named as CodesPlan names them.
  template <typename Visit>
  void visit(Visit visit_one);

  ops::FloatMatrix tok_embeddings;
  std::vector<BlockMatrices> layers;
};

template <typename Visit>
void ModelMatrices::visit(Visit visit_one) {
  visit_one("transformer.tok_embeddings", tok_embeddings);
  for (std::size_t idx = 0; idx < layers.size(); ++idx) {
    const std::string prefix = "transformer.layers." + std::to_string(idx) + ".";
    visit_one(prefix + "attention.qkv_proj", layers[idx].qkv_proj);
    visit_one(prefix + "attention.out_proj", layers[idx].out_proj);
    visit_one(prefix + "feed_forward.gate_proj", layers[idx].gate_proj);
    visit_one(prefix + "feed_forward.up_proj", layers[idx].up_proj);
    visit_one(prefix + "feed_forward.down_proj", layers[idx].down_proj);
  }
}

/// The mean divergence KL(source || model) over the predictions of one window, nats, and its derivatives by
/// all matrices of the model; the embedding's are those as table and as output projection together.
/// Activations of all layers are kept for the way back: about 10 n_embd + n_head * n_tokens floats a token
/// and layer.
/// @param parts          arguments, norms and rotary table.
/// @param state          device and rotary layout; computes in float32.
/// @param weights        of the model; not changed.
/// @param ids            the window, inside the vocabulary.
/// @param source         logits of the source after each of them.
/// @param gradients      written.
/// The result does not depend on the number of threads.
double kl_gradient(const ModelParts& parts, SessionState& state, ModelMatrices& weights,
                   std::span<const int32_t> ids, const Logits& source, ModelMatrices& gradients);

}  // namespace lille
