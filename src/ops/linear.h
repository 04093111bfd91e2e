#pragma once

#include <span>

#include "ops/device.h"

namespace lille::ops {

/// out (n_rows, n_out) = x (n_rows, n_in) * weight^T.
struct Product {
  Rows out;
  const kernels::WeightMatrix* weight = nullptr;
};
/// Products of the same x: it is rounded once, and the threads meet once for all. No out may alias x.
/// @throws Error(kInvalidShape)
void linear(Device& device, std::span<const Product> products, Rows x);

/// One product.
inline void linear(Device& device, Rows out, Rows x, const kernels::WeightMatrix& weight) {
  const Product product = {out, &weight};
  linear(device, std::span(&product, 1), x);
}

}  // namespace lille::ops
