#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "lille/error.h"
#include "model/linear.h"

namespace lille {

/// A weight matrix in memory of its own.
struct OwnedMatrix {
  std::vector<std::byte> data;
  std::vector<std::byte> scales;
  std::vector<std::byte> biases;
  kernels::WeightMatrix matrix;  ///< Points into the three.
};

/// Rows [first, first + n) of a layer's weight, as stored but in the model's own order.
/// @param permuted_head_dim  not 0: within heads of this width in llama.cpp's order instead (LinearPart).
/// @throws Error(kInternal) unless the rows lie in one part.
OwnedMatrix copy_rows(const Linear& linear, int64_t first, int64_t n, int64_t permuted_head_dim);

/// One row of a parameter in the model's own order as float32.
/// @param out    (n_in)
/// @param parts  as bind_matrix gives them.
/// @param row    one that the parts have.
void dequantize_row(float* out, std::span<const LinearPart> parts, int64_t row,
                    const kernels::KernelTable& kernels) noexcept;

/// A parameter in a float type, rows in the model's own order: copied where it is stored so already,
/// otherwise converted through float32.
/// @param parts  as bind_matrix gives them.
/// @param dtype  F32, F16 or BF16.
/// @param name   of the parameter, for messages.
/// @throws Error(kInvalidArgument) for a weight that is NaN, infinite or too large for the type.
std::vector<std::byte> encode_floats(std::span<const LinearPart> parts, DType dtype, std::string_view name,
                                     ThreadPool& pool);

/// All rows of a layer's weight in the model's own order as float32, (n_out, n_in).
std::vector<float> dequantised(std::span<const LinearPart> parts);

/// A matrix as the bytes of one of GGUF's types: copied where it is stored so already, otherwise converted
/// through float32.
/// @param name  of the tensor, for messages.
/// @throws Error(kInvalidArgument) for a weight that is NaN, infinite or too large for the type; as
///   quantize_blocks.
std::vector<std::byte> encode_matrix(const kernels::WeightMatrix& matrix, DType dtype, std::string_view name,
                                     ThreadPool& pool);

/// Throws an error of a quantiser again as one of a tensor: with its name instead of the place.
[[noreturn]] void raise_with_name(const Error& error, std::string_view name);

/// The type of GGUF in which a matrix is stored; nothing for MLX's form.
std::optional<DType> gguf_dtype(kernels::WeightKind kind) noexcept;

}  // namespace lille
