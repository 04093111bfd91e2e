#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "kernels/kernel_types.h"

namespace lille::kernels {

/// Bytes of one element.
constexpr int64_t float_bytes(FloatKind kind) noexcept { return kind == FloatKind::kF32 ? 4 : 2; }

/// Element `idx` of an array of a float kind, at any address.
inline float load_float(const void* data, FloatKind kind, int64_t idx) noexcept {
  const std::byte* element = static_cast<const std::byte*>(data) + idx * float_bytes(kind);
  switch (kind) {
    case FloatKind::kF16:
      return f16_to_f32(load_unaligned<uint16_t>(element));
    case FloatKind::kBF16:
      return bf16_to_f32(load_unaligned<uint16_t>(element));
    case FloatKind::kF32:
      break;
  }
  return load_unaligned<float>(element);
}

}  // namespace lille::kernels
