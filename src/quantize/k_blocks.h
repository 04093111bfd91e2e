#pragma once

#include <span>

#include "kernels/block_formats.h"

namespace lille {

/// Fills a super-block with the codes and scales whose weights lie close to the given 256, by squared error:
/// a search over scales of each sub-block, then over the 6 or 8 bits that they are rounded to.
/// @throws Error(kInvalidArgument) if a scale is too large for float16.
void quantize_block(kernels::BlockQ4_K& block, std::span<const float> weights);
void quantize_block(kernels::BlockQ6_K& block, std::span<const float> weights);

}  // namespace lille
