#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/device.h"

namespace lille::ops {

/// -log softmax(logits row)[target] for each row, in double.
/// @param logits   (n_rows, vocab_size)
/// @param targets  (n_rows)
/// @throws Error(kInvalidShape); Error(kInvalidArgument) for a target outside the row.
std::vector<double> cross_entropy(Device& device, Rows logits, std::span<const int32_t> targets);

}  // namespace lille::ops
