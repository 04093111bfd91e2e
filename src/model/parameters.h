#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/lille.h"

namespace lille {

/// What a parameter is, which decides how it may be stored.
enum class ParameterKind {
  kNorm,    ///< (n): F32, F16 or BF16.
  kMatrix,  ///< (n_out, n_in): the same, or quantised: U32 codes with scales and biases beside them.
};

/// The part of the model that a parameter counts to in summaries.
enum class ParameterPart { kEmbedding, kAttention, kFeedForward, kNorms };

/// Rows of a matrix that other writers store as a tensor of their own.
struct SplitSpec {
  std::string name;  ///< Without ".weight": "transformer.layers.0.attention.q_proj".
  int64_t n_out = 0;
  bool is_rotated = false;  ///< q and k: rotary positions turn its outputs, so llama.cpp orders its rows.
};

/// One parameter of the model.
struct ParameterSpec {
  std::string name;  ///< Without ".weight": "transformer.layers.0.attention.qkv_proj".
  ParameterKind kind;
  ParameterPart part;
  std::vector<int64_t> shape;
  std::vector<SplitSpec> splits = {};  ///< Not empty: together they may stand for the matrix, in this order.

  int64_t n_parameters() const noexcept;
};

/// Every parameter of a model with these arguments, in the order of the forward pass: the one table from
/// which loading, checking and counting work.
std::vector<ParameterSpec> parameter_table(const ModelArgs& args);

/// A matrix or norm, or the rows of a matrix that are stored together.
struct StoredTensor {
  const TensorView* weight = nullptr;
  const TensorView* scales = nullptr;  ///< Null unless quantised in MLX's form.
  const TensorView* biases = nullptr;  ///< Null unless quantised in MLX's form.
  /// What the three were checked with: the only setting to read them with. Nothing unless they are quantised.
  std::optional<LayerQuantization> quantization = {};
  /// Type of the scales inside `weight`, which then holds panels of kernels::WeightKind::kPacked.
  std::optional<DType> packed_scales = {};

  int64_t n_bytes() const noexcept;
  /// "BF16", or "8-bit, groups of 64, BF16 scales".
  std::string storage() const;
};

/// A parameter found in a checkpoint.
struct Parameter {
  const ParameterSpec* spec = nullptr;
  std::vector<StoredTensor> tensors;  ///< One, or one for each of the spec's splits.
};

/// "BF16", or "Q8_0 and F32": the different ones of some types, in their order.
std::string join_types(std::span<const std::string> types);

/// Finds every parameter of the table among the tensors of a checkpoint and checks names, shapes and dtypes.
/// @param source  the folder or file, for messages.
/// @throws Error(kCorruptFile) with what is missing, unknown or wrong, at once; the first 20 of it if it is
///   more.
std::vector<Parameter> match_parameters(std::span<const ParameterSpec> table,
                                        std::span<const NamedTensor> tensors, const ModelArgs& args,
                                        const std::string& source);

/// The parameters of a source as they are stored.
class StoredParameters {
 public:
  /// @param source  outlives this: the parameters point into its files.
  /// @param args    the source's.
  /// @throws Error(kCorruptFile) as ModelSource::tensors and match_parameters.
  StoredParameters(const ModelSource& source, const ModelArgs& args, const WarningCallback& on_warning);
  StoredParameters(const StoredParameters&) = delete;
  StoredParameters& operator=(const StoredParameters&) = delete;

  /// All, in the order of parameter_table(args).
  std::span<const Parameter> all() const noexcept { return parameters_; }

 private:
  std::vector<ParameterSpec> table_;
  std::vector<NamedTensor> tensors_;
  std::vector<Parameter> parameters_;  ///< They point into the other two.
};

/// The stack with its weights pointing into the files.
/// @param parameters  in the order of parameter_table(args).
/// @param has_permuted_qk  as ModelSource says it.
Transformer bind_parameters(const ModelArgs& args, std::span<const Parameter> parameters,
                            bool has_permuted_qk);

/// One parameter, as bind_parameters binds it; a norm as a matrix of one row.
Linear bind_matrix(const ModelArgs& args, const Parameter& parameter, bool has_permuted_qk);

}  // namespace lille
