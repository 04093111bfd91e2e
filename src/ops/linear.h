#pragma once

#include "ops/device.h"

namespace lille::ops {

/// out (n_rows, n_out) = x (n_rows, n_in) * weight^T; out may not alias x.
/// @throws Error(kInvalidShape)
void linear(Device& device, Rows out, Rows x, const kernels::WeightMatrix& weight);

}  // namespace lille::ops
