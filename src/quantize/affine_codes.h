#pragma once

#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/dtype.h"
#include "kernels/float_kind.h"

namespace lille {

/// Writes codes of a row in MLX's affine form one after the other into a stream of bits.
class CodeWriter {
 public:
  CodeWriter(std::byte* to, int64_t bits) : to_(to), bits_(bits) {}

  void put(uint32_t code) noexcept {
    pending_ |= uint64_t{code} << n_pending_;
    n_pending_ += bits_;
    for (; n_pending_ >= 8; n_pending_ -= 8, pending_ >>= 8) *to_++ = static_cast<std::byte>(pending_ & 255);
  }

 private:
  std::byte* to_;
  int64_t bits_;
  uint64_t pending_ = 0;
  int64_t n_pending_ = 0;
};

/// Writes a scale or a bias, rounded to `kind`.
/// @throws Error(kInvalidArgument) if it is too large for the type, or NaN.
inline void store_scale(std::byte* to, kernels::FloatKind kind, float value) {
  const uint16_t half = kind == kernels::FloatKind::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
  std::memcpy(to, kind == kernels::FloatKind::kF32 ? static_cast<const void*>(&value) : &half,
              static_cast<std::size_t>(kernels::float_bytes(kind)));
  if (!std::isfinite(kernels::load_float(to, kind, 0)))
    raise(ErrorCode::kInvalidArgument,
          "[quantize] scales: expected values that {} holds, got {}. Hint: quantize with scales of a wider "
          "type",
          kind == kernels::FloatKind::kF16 ? "F16" : (kind == kernels::FloatKind::kBF16 ? "BF16" : "F32"),
          value);
}

}  // namespace lille
