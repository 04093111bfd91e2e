#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernel_types.h"
#include "lille/model_args.h"

namespace lille {

/// A matrix in MLX's affine form, as a folder holds it in .weight, .scales and .biases.
struct AffineMatrix {
  std::vector<std::byte> codes;   ///< (n_out, n_in * bits / 32) uint32, little-endian.
  std::vector<std::byte> scales;  ///< (n_out, n_in / group_size) of the scale kind.
  std::vector<std::byte> biases;  ///< (n_out, n_in / group_size) of the scale kind.
};

/// @throws Error(kInvalidArgument) for a size of a code or a group that MLX does not have.
void check_setting(const LayerQuantization& setting);

/// Quantises a matrix as mx.quantize does on the CPU, bit for bit: codes are made in float32 with the
/// unrounded scale and bias, which are rounded to `scale_kind` afterwards.
/// @param source      (n_out, n_in) of any kind; n_in is a multiple of setting.group_size.
/// @param scale_kind  MLX takes the weights' own type; weights that are to be rounded to it first must be so
/// in
///   `source`.
/// @param pool        its threads share the rows; the result does not depend on them.
/// @throws Error(kInvalidArgument) for a size of a code or a group that MLX does not have, rows that are no
/// multiple
///   of the group, a weight that is NaN or infinite, and a scale or bias too large for scale_kind.
/// Source: ml-explore/mlx mlx/backend/cpu/quantized.cpp, golden values of the real one.
AffineMatrix quantize_affine(const kernels::WeightMatrix& source, const LayerQuantization& setting,
                             kernels::FloatKind scale_kind, ThreadPool& pool);

}  // namespace lille
