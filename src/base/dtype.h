#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace lille {

/// Element types of tensors in files. Computation is in float32; the others are storage.
enum class DType { kF32, kF16, kBF16, kF64, kI64, kI32, kI16, kI8, kU64, kU32, kU16, kU8, kBool };

/// Bytes of one element.
int64_t dtype_bytes(DType dtype) noexcept;

/// The safetensors name: "F32", "BF16", "U32" and so on.
std::string_view dtype_name(DType dtype) noexcept;

/// The inverse of dtype_name; nothing for an unknown name.
std::optional<DType> dtype_from_name(std::string_view name) noexcept;

/// bfloat16 bits to float32: exact, the upper half of the float's bits.
inline float bf16_to_f32(uint16_t bits) noexcept { return std::bit_cast<float>(uint32_t{bits} << 16); }

/// float32 to bfloat16 bits: round to nearest, ties to even; NaN stays NaN.
inline uint16_t f32_to_bf16(float value) noexcept {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/// IEEE half bits to float32: exact, subnormals, infinities and NaN included.
float f16_to_f32(uint16_t bits) noexcept;

/// float32 to IEEE half bits: round to nearest, ties to even; overflow gives infinity.
uint16_t f32_to_f16(float value) noexcept;

/// Reads a T from any address: tensors in files start at any byte.
template <typename T>
T load_unaligned(const void* address) noexcept {
  T value;
  std::memcpy(&value, address, sizeof(T));
  return value;
}

}  // namespace lille
