#pragma once

#include <cstddef>
#include <vector>

#include "kernels/kernel_types.h"
#include "quantize/affine.h"

namespace lille {

/// Whether codes of so many bits can be packed: 4 or 8.
constexpr bool can_pack(int64_t bits) noexcept { return bits == 4 || bits == 8; }

/// The panels of a matrix in MLX's affine form: the same codes, scales and biases in the order in which
/// products read them. Rows that fill up the last panel are zeros.
/// @param affine  kAffine with can_pack(bits).
/// @return (panels of kPackedOuts rows, packed_panel_bytes)
std::vector<std::byte> pack_affine(const kernels::WeightMatrix& affine);

/// What pack_affine was given.
/// @param packed  kPacked.
AffineMatrix unpack_affine(const kernels::WeightMatrix& packed);

}  // namespace lille
