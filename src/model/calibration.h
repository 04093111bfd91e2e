#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "model/lille.h"
#include "model/session.h"

namespace lille {

/// Inputs of the linear layers of a block, in the order of the forward pass.
enum class LinearInput {
  kAttnNormed,  ///< Of qkv_proj.
  kAttnHeads,   ///< Of out_proj.
  kFfnNormed,   ///< Of gate_proj and up_proj.
  kGate,        ///< Of down_proj.
};
inline constexpr std::size_t kLinearInputs = 4;

/// Sums over the tokens of a calibration for one input of n columns: x are inputs of the model as it was, y
/// those of the same tokens in the working copy.
struct InputProducts {
  std::vector<double> y_y;  ///< (n, n): sum of y^T y.
  std::vector<double> d_y;  ///< (n, n): sum of (x - y)^T y.
};

/// Runs the tokens of a calibration through a model block by block, twice beside each other: through the
/// model as it was, and through a working copy whose weights are replaced as they are quantised. Weights meet
/// activations in float32.
class Calibration {
 public:
  /// @param ids  whole windows of block_size tokens, inside the vocabulary; outlive this.
  /// @throws Error(kInvalidArgument) for a bad number of threads.
  Calibration(const Model& model, std::span<const int32_t> ids, int64_t n_threads, std::stop_token cancel);

  /// The working copy. Whoever replaces a weight keeps the memory of the new one.
  Transformer& working() noexcept { return working_; }
  ThreadPool& pool() noexcept { return state_.pool; }

  /// Sum of x^T x over the inputs of the output projection of the model as it was, (n_embd, n_embd).
  /// @throws Error(kCanceled), as all that follow.
  std::vector<double> output_products();
  /// Looks up all tokens, for the working copy with the embedding that it has then.
  void embed();
  /// Inputs of the linear layers of a block, those of the working copy with the weights that it has then; the
  /// model as it was goes on to the next block.
  std::array<InputProducts, kLinearInputs> block_products(int64_t layer_idx);
  /// Lets the working copy go on to the next block, with the weights that it has then; after block_products.
  void advance(int64_t layer_idx);

 private:
  int64_t n_windows() const noexcept;
  std::span<const int32_t> window(int64_t window_idx) const noexcept;
  void run(const Block& block, int64_t window_idx, std::vector<float>& hidden, bool keep);

  SessionState state_;
  const ModelParts& parts_;
  std::span<const int32_t> ids_;
  std::stop_token cancel_;
  Transformer working_;
  std::vector<float> hidden_;          ///< (n_tokens, n_embd) of the model as it was.
  std::vector<float> working_hidden_;  ///< (n_tokens, n_embd) of the working copy.
};

}  // namespace lille
