#pragma once

#include <cstdint>
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

/// One parameter of the model.
struct ParameterSpec {
  std::string name;  ///< Without ".weight": "transformer.layers.0.attention.qkv_proj".
  ParameterKind kind;
  ParameterPart part;
  std::vector<int64_t> shape;

  int64_t n_parameters() const noexcept;
};

/// Every parameter of a model with these arguments, in the order of the forward pass: the one table from
/// which loading, checking and counting work.
std::vector<ParameterSpec> parameter_table(const ModelArgs& args);

/// A parameter found in a checkpoint.
struct Parameter {
  const ParameterSpec* spec = nullptr;
  const TensorView* weight = nullptr;
  const TensorView* scales = nullptr;  ///< Null unless quantised.
  const TensorView* biases = nullptr;  ///< Null unless quantised.

  int64_t n_bytes() const noexcept;
};

/// Finds every parameter of the table among the tensors of a checkpoint and checks names, shapes and dtypes.
/// @param source  the folder, for messages.
/// @throws Error(kCorruptFile) with everything that is missing, unknown or wrong, at once.
std::vector<Parameter> match_parameters(std::span<const ParameterSpec> table,
                                        std::span<const NamedTensor> tensors, const ModelArgs& args,
                                        const std::string& source);

/// Warns about every parameter that has a NaN or an infinity in it, by name.
void warn_of_non_finite(ThreadPool& pool, std::span<const Parameter> parameters,
                        const WarningCallback& on_warning);

/// The stack with its weights pointing into the files.
/// @param parameters  in the order of parameter_table(args).
Transformer bind_parameters(const ModelArgs& args, std::span<const Parameter> parameters);

}  // namespace lille
