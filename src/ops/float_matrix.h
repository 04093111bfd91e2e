#pragma once

#include <cstdint>
#include <vector>

#include "ops/device.h"

namespace lille::ops {

/// A matrix (n_rows, n_cols) of float32 in memory of its own.
struct FloatMatrix {
  FloatMatrix() = default;
  /// All zeros.
  FloatMatrix(int64_t rows_of_it, int64_t cols_of_it);

  /// A view, which must not be written through if this is one of a model's weights.
  Rows rows() noexcept { return {values.data(), n_rows, n_cols, n_cols}; }
  /// As the weight of a linear layer.
  kernels::WeightMatrix weight() const noexcept;

  int64_t n_rows = 0;
  int64_t n_cols = 0;
  std::vector<float> values;
};

/// A copy of some rows.
FloatMatrix copied(Rows rows);

/// (n_cols, n_rows)
FloatMatrix transposed(Device& device, Rows rows);

/// out (n, m) = a (n, k) * b (m, k)^T
/// @throws Error(kInvalidShape)
void multiply(Device& device, Rows out, Rows a, const FloatMatrix& b);

}  // namespace lille::ops
