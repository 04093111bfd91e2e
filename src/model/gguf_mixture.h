#pragma once

#include <cstdint>
#include <string_view>

#include "base/dtype.h"

namespace lille {

/// The matrices of a model, as far as a mixture of types tells them apart.
enum class MatrixRole { kEmbedding, kQueries, kKeys, kValues, kOutput, kGate, kUp, kDown };

/// Names that gguf_mixture knows, for messages: "F32, F16, ...".
std::string_view gguf_mixture_names() noexcept;

/// The type in which llama.cpp's quantiser stores a matrix of a model with tied embeddings, without an
/// importance matrix: Q4_K_M gives values and down_proj more bits in some layers; the embedding, which is the
/// output too, gets Q6_K; where rows are no multiple of 256, Q4_K becomes Q5_0 and Q6_K becomes Q8_0.
/// @param name   one of gguf_mixture_names().
/// @param n_in   elements of a row.
/// @param pure  every matrix in the mixture's main type, the embedding too, where its blocks fit the rows.
/// @throws Error(kInvalidArgument) for an unknown name, or if no block fits the rows.
/// Source: ggml-org/llama.cpp src/llama-quant.cpp llama_tensor_get_type_impl, tensor_type_fallback.
DType gguf_mixture(std::string_view name, MatrixRole role, int64_t layer_idx, int64_t n_layer, int64_t n_in,
                   bool pure = false);

}  // namespace lille
