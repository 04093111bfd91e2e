#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/dtype.h"
#include "io/gguf.h"

namespace lille {

/// What every .gguf file begins with.
inline constexpr std::string_view kGgufMagic = "GGUF";
/// Where general.alignment is not given, data begin at multiples of this.
inline constexpr uint64_t kGgufAlignment = 32;
inline constexpr std::size_t kMaxGgufKeyBytes = 65535;
/// ggml keeps names in 64 bytes with a zero behind them.
inline constexpr std::size_t kMaxGgufNameBytes = 63;
inline constexpr uint32_t kMaxGgufDimensions = 4;

/// Bytes of a scalar of metadata; 0 for texts and arrays.
constexpr std::size_t gguf_scalar_bytes(GgufType type) noexcept {
  constexpr std::array<std::size_t, 13> kBytes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kBytes[static_cast<std::size_t>(type)];
}

constexpr std::string_view gguf_type_name(GgufType type) noexcept {
  constexpr std::array<std::string_view, 13> kNames = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                       "bool", "string", "array", "u64", "i64", "f64"};
  return kNames[static_cast<std::size_t>(type)];
}

/// A type of tensor data and ggml's number for it.
struct GgmlTypeRow {
  uint32_t ggml_type;
  DType dtype;
};

/// The types that Lille files are read with. Source: ggml-org/llama.cpp ggml/include/ggml.h ggml_type.
inline constexpr std::array<GgmlTypeRow, 16> kGgmlTypes = {{{0, DType::kF32},
                                                            {1, DType::kF16},
                                                            {2, DType::kQ4_0},
                                                            {3, DType::kQ4_1},
                                                            {6, DType::kQ5_0},
                                                            {7, DType::kQ5_1},
                                                            {8, DType::kQ8_0},
                                                            {12, DType::kQ4_K},
                                                            {13, DType::kQ5_K},
                                                            {14, DType::kQ6_K},
                                                            {24, DType::kI8},
                                                            {25, DType::kI16},
                                                            {26, DType::kI32},
                                                            {27, DType::kI64},
                                                            {28, DType::kF64},
                                                            {30, DType::kBF16}}};

constexpr std::optional<DType> dtype_from_ggml(uint32_t ggml_type) noexcept {
  for (const GgmlTypeRow& row : kGgmlTypes)
    if (row.ggml_type == ggml_type) return row.dtype;
  return std::nullopt;
}

constexpr std::optional<uint32_t> ggml_from_dtype(DType dtype) noexcept {
  for (const GgmlTypeRow& row : kGgmlTypes)
    if (row.dtype == dtype) return row.ggml_type;
  return std::nullopt;
}

}  // namespace lille
