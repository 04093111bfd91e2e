#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace lille {

/// How the elements of tensors are stored in files. Computation is in float32; the others are storage. From
/// kQ4_0 on a type packs a block of consecutive elements of a row; only GGUF files have these.
enum class DType {
  kF32,
  kF16,
  kBF16,
  kF64,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ4_K,
  kQ5_K,
  kQ6_K,
};

/// Elements of one block: 32 or 256 for the types that pack them, otherwise 1.
int64_t dtype_block_elements(DType dtype) noexcept;

/// Bytes of one block, which is one element for the types that do not pack.
int64_t dtype_bytes(DType dtype) noexcept;

/// "F32", "BF16", "U32", as safetensors calls them, or "Q4_K", as GGUF does.
std::string_view dtype_name(DType dtype) noexcept;

/// The type that safetensors calls `name`; nothing for any other name.
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
