#include "base/dtype.h"

#include <array>
#include <cmath>

namespace lille {
namespace {

struct DTypeRow {
  DType dtype;
  std::string_view name;
  int64_t n_elements;  // of a block
  int64_t n_bytes;     // of a block
};

// The packed types: ggml's layouts (ggml-org/llama.cpp ggml/src/ggml-common.h), a two-byte scale each, for
// Q4_1, Q5_1, Q4_K and Q5_K a two-byte minimum too.
constexpr std::array<DTypeRow, 21> kDTypes = {{
    {DType::kF32, "F32", 1, 4},       {DType::kF16, "F16", 1, 2},       {DType::kBF16, "BF16", 1, 2},
    {DType::kF64, "F64", 1, 8},       {DType::kI64, "I64", 1, 8},       {DType::kI32, "I32", 1, 4},
    {DType::kI16, "I16", 1, 2},       {DType::kI8, "I8", 1, 1},         {DType::kU64, "U64", 1, 8},
    {DType::kU32, "U32", 1, 4},       {DType::kU16, "U16", 1, 2},       {DType::kU8, "U8", 1, 1},
    {DType::kBool, "BOOL", 1, 1},     {DType::kQ4_0, "Q4_0", 32, 18},   {DType::kQ4_1, "Q4_1", 32, 20},
    {DType::kQ5_0, "Q5_0", 32, 22},   {DType::kQ5_1, "Q5_1", 32, 24},   {DType::kQ8_0, "Q8_0", 32, 34},
    {DType::kQ4_K, "Q4_K", 256, 144}, {DType::kQ5_K, "Q5_K", 256, 176}, {DType::kQ6_K, "Q6_K", 256, 210},
}};

const DTypeRow& row(DType dtype) noexcept {
  const DTypeRow& found = kDTypes[static_cast<std::size_t>(dtype)];
  return found;
}

constexpr bool table_is_in_enum_order() {
  for (std::size_t idx = 0; idx < kDTypes.size(); ++idx)
    if (static_cast<std::size_t>(kDTypes[idx].dtype) != idx) return false;
  return true;
}
static_assert(table_is_in_enum_order());

}  // namespace

int64_t dtype_block_elements(DType dtype) noexcept { return row(dtype).n_elements; }

int64_t dtype_bytes(DType dtype) noexcept { return row(dtype).n_bytes; }

std::string_view dtype_name(DType dtype) noexcept { return row(dtype).name; }

std::optional<DType> dtype_from_name(std::string_view name) noexcept {
  for (const DTypeRow& candidate : kDTypes)
    if (candidate.n_elements == 1 && candidate.name == name) return candidate.dtype;
  return std::nullopt;
}

float f16_to_f32(uint16_t bits) noexcept {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu;
  const uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0x1fu) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return sign != 0 ? -magnitude : magnitude;
}

uint16_t f32_to_f16(float value) noexcept {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u)
    return static_cast<uint16_t>(sign | 0x7c00u);  // 65520 and above round to infinity
  if (magnitude < 0x38800000u) {
    // Below 2^-14 a half counts in units of 2^-24: scaling is exact, nearbyint rounds ties to even.
    const float units = std::nearbyint(std::bit_cast<float>(magnitude) * 0x1p24f);
    return static_cast<uint16_t>(sign | static_cast<uint16_t>(units));
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

}  // namespace lille
