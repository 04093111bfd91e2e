#pragma once

#include <cstddef>
#include <span>

#include "kernels/kernel_types.h"
#include "lille/model.h"

namespace lille {

/// How a cache of this type stores a row of one head.
kernels::WeightKind cache_kind(CacheType type) noexcept;

/// Refuses a type that the heads of the model do not fit.
/// @throws Error(kInvalidArgument) for kQ8_0 and a head_dim that is no multiple of its blocks.
void check_cache_type(CacheType type, const ModelArgs& args);

/// Rounds one head of one token to what the type stores. A block of kQ8_0 is 32 elements, scale * code:
/// the scale is the largest |x| / 127 in F16, NaN if one element is NaN or infinite or if F16 does not hold
/// it, and codes are from -127 to 127, halves away from zero.
/// @param to  kernels::row_bytes(cache_kind(type), row.size()) bytes.
void store_cache_row(std::byte* to, std::span<const float> row, CacheType type) noexcept;

}  // namespace lille
