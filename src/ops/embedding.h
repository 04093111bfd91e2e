#pragma once

#include <cstdint>
#include <span>

#include "ops/device.h"

namespace lille::ops {

/// out = rows `ids` of the table as float32.
/// @param out    (n_ids, n_in)
/// @param table  (n_out, n_in), a row for each token
/// @throws Error(kInvalidShape); Error(kInvalidArgument) for an id outside [0, n_out).
void embedding(Device& device, Rows out, const kernels::WeightMatrix& table, std::span<const int32_t> ids);

}  // namespace lille::ops
