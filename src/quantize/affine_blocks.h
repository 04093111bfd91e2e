#pragma once

#include <optional>

#include "quantize/affine.h"

namespace lille {

/// Weights that share a scale and a bias in the form that affine_from_blocks makes.
inline constexpr int64_t kBlockGroupSize = 32;

/// Bits of a code of MLX's affine form that holds the codes of a kind of GGUF's blocks: 4, 5 or 8. Nothing
/// for Q6_K, whose scales are shared by 16 weights and MLX's by 32 or more, and for what is no block.
std::optional<int64_t> affine_bits(kernels::WeightKind kind) noexcept;

/// The smallest type that holds the scales and biases of a kind with affine_bits: F16, and F32 for Q4_K and
/// Q5_K, whose scales are products.
kernels::FloatKind affine_scale_kind(kernels::WeightKind kind) noexcept;

/// GGUF's blocks in MLX's affine form: the same codes, counted from 0, and every weight has the same value.
/// @param source      (n_out, n_in) of a kind with affine_bits.
/// @param bits        a size of a code that MLX has, at least affine_bits of the kind.
/// @param scale_kind  affine_scale_kind of the kind, or F32.
/// @param pool        its threads share the rows; the result does not depend on them.
/// @param first_row   what messages call the first row.
/// @throws Error(kInvalidArgument) for a weight that is NaN or infinite, and a bias too large for scale_kind.
AffineMatrix affine_from_blocks(const kernels::WeightMatrix& source, int64_t bits,
                                kernels::FloatKind scale_kind, ThreadPool& pool, int64_t first_row = 0);

}  // namespace lille
