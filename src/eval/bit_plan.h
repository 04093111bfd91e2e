#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lille {

/// A matrix, and what predictions lose when it alone is quantised.
struct MatrixSensitivity {
  std::string name;       ///< "transformer.layers.0.attention.qkv_proj"
  int64_t n_weights = 0;  ///< Rows times columns.
  double kl = 0;          ///< Divergence with its weights in kSensitivityBits, nats.
};

/// Bits in which sensitivities are measured: the divergence is far above what arithmetic adds, and not yet so
/// large that it stops growing with the square of the error.
inline constexpr int64_t kSensitivityBits = 3;

/// The divergence to expect of a matrix in other bits: that of kSensitivityBits times the square of the ratio
/// of steps, (2^3 - 1) / (2^bits - 1).
double expected_kl(const MatrixSensitivity& matrix, int64_t bits) noexcept;

/// Bits for each matrix, 2 to 8, so that the sum of expected_kl is small and the sum of bits fits: all begin
/// with 2, and the step that gains most for each bit of memory is taken first, until none fits any more.
/// @param n_bits  bits that all codes together may have, without scales and biases.
/// @return one for each matrix.
/// @throws Error(kInvalidArgument) if 2 bits each are too many.
std::vector<int64_t> plan_bits(std::span<const MatrixSensitivity> matrices, double n_bits);

}  // namespace lille
