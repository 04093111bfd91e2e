#pragma once

#include "ops/device.h"

namespace lille::ops {

/// x += y: the residual connection.
/// @param x, y  (n_rows, n_embd)
/// @throws Error(kInvalidShape)
void add(Device& device, Rows x, Rows y);

}  // namespace lille::ops
