#pragma once

#include "ops/device.h"

namespace lille::ops {

/// out = silu(gate) * up, silu(x) = x / (1 + exp(-x)); out may be gate or up.
/// @param out, gate, up  (n_rows, hidden_dim)
/// @throws Error(kInvalidShape)
/// Source: arXiv 2002.05202; mlx-lm mlx_lm/models/activations.py.
void swiglu(Device& device, Rows out, Rows gate, Rows up);

}  // namespace lille::ops
