#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "base/dtype.h"

namespace lille {

/// Writes a scale as float16, little-endian, and gives it back as it will be read.
/// @throws Error(kInvalidArgument) if it is too large for float16.
inline float put_half(uint8_t (&field)[2], float value) {
  const uint16_t half = f32_to_f16(value);
  if (!std::isfinite(f16_to_f32(half)))
    raise(ErrorCode::kInvalidArgument,
          "[quantize] scale of a block: expected at most 65504, the largest float16, got {}. Hint: weights "
          "as large as "
          "these fit MLX's affine form with float32 scales",
          value);
  std::memcpy(field, &half, sizeof(half));
  return f16_to_f32(half);
}

/// 1 / scale; 0 where that is no finite number, so that weights too small for a scale get the code of zero.
inline float inverse_or_zero(float scale) noexcept {
  const float inverse = 1.0f / scale;
  return std::isfinite(inverse) ? inverse : 0.0f;
}

}  // namespace lille
