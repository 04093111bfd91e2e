#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernel_types.h"

namespace lille {

/// Whether quantize_blocks writes this kind: Q8_0, Q4_0, Q5_0, Q4_K, Q6_K.
bool can_quantize_to(kernels::WeightKind kind) noexcept;

/// Quantises a matrix to one of GGUF's blocks. Q8_0, Q4_0 and Q5_0 have the bytes of ggml's reference
/// quantisers; Q4_K and Q6_K are searched for the smallest mean squared error.
/// @param source  (n_out, n_in) of any kind; n_in is a multiple of block_weights(kind).
/// @param pool    its threads share the rows; the result does not depend on them.
/// @return n_out rows of n_in / block_weights(kind) blocks.
/// @throws Error(kInvalidArgument) for a kind that is not written, rows that no whole blocks fill, a weight
/// that is NaN
///   or infinite, and weights so large that a scale exceeds float16.
/// Source: ggml-org/llama.cpp ggml/src/ggml-quants.c, quantize_row_q8_0_ref and its neighbours.
std::vector<std::byte> quantize_blocks(const kernels::WeightMatrix& source, kernels::WeightKind kind,
                                       ThreadPool& pool);

}  // namespace lille
