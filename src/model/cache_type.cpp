#include "model/cache_type.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/dtype.h"
#include "kernels/weight_kind.h"

namespace lille {
namespace {

using kernels::BlockQ8_0;
using kernels::WeightKind;

struct CacheTypeRow {
  CacheType type;
  WeightKind kind;
  int64_t kv_bits;
};

constexpr std::array<CacheTypeRow, 3> kRows = {{{CacheType::kF32, WeightKind::kF32, 32},
                                                {CacheType::kBF16, WeightKind::kBF16, 16},
                                                {CacheType::kQ8_0, WeightKind::kQ8_0, 8}}};

const CacheTypeRow& row_of(CacheType type) noexcept {
  return *std::ranges::find(kRows, type, &CacheTypeRow::type);
}

constexpr uint32_t kInfinityBits = 0x7f800000;
constexpr uint16_t kHalfInfinity = 0x7c00;
constexpr uint16_t kHalfNaN = 0x7e00;

// The largest |x|, by its bits, in which NaN is larger than infinity.
uint32_t largest_bits(std::span<const float> x) noexcept {
  uint32_t largest = 0;
  for (const float value : x) largest = std::max(largest, std::bit_cast<uint32_t>(value) & 0x7fffffff);
  return largest;
}

void store_block(BlockQ8_0& block, std::span<const float> x) noexcept {
  const uint32_t largest = largest_bits(x);
  const uint16_t half =
      largest < kInfinityBits ? f32_to_f16(std::bit_cast<float>(largest) / 127.0f) : kHalfNaN;
  const uint16_t scale_bits = half < kHalfInfinity ? half : kHalfNaN;
  std::memcpy(block.scale, &scale_bits, sizeof(scale_bits));
  const float scale = f16_to_f32(scale_bits);
  if (!(scale > 0)) {
    std::ranges::fill(block.codes, int8_t{0});
    return;
  }
  // Of the scale as it is stored; a subnormal one may be far enough below for codes above 127.
  const float inverse = 1.0f / scale;
  for (std::size_t idx = 0; idx < x.size(); ++idx) {
    const float scaled = std::min(std::max(x[idx] * inverse, -127.0f), 127.0f);
    block.codes[idx] = static_cast<int8_t>(scaled + (scaled < 0 ? -0.5f : 0.5f));
  }
}

}  // namespace

WeightKind cache_kind(CacheType type) noexcept { return row_of(type).kind; }

std::string_view cache_type_name(CacheType type) noexcept {
  return kernels::weight_kind_name(cache_kind(type));
}

int64_t kv_bits(CacheType type) noexcept { return row_of(type).kv_bits; }

CacheType cache_type_of_bits(int64_t kv_bits) {
  const auto row = std::ranges::find(kRows, kv_bits, &CacheTypeRow::kv_bits);
  if (row == kRows.end())
    raise(ErrorCode::kInvalidArgument, "[cache] kv_bits: expected 32, 16 or 8, got {}", kv_bits);
  return row->type;
}

int64_t cache_bytes_per_token(const ModelArgs& args, CacheType type) {
  check_cache_type(type, args);
  return 2 * args.n_layer * args.n_kv_heads * kernels::row_bytes(cache_kind(type), args.head_dim());
}

void check_cache_type(CacheType type, const ModelArgs& args) {
  const int64_t block = kernels::block_weights(cache_kind(type));
  if (args.head_dim() % block == 0) return;
  raise(ErrorCode::kInvalidArgument,
        "[cache] kv_bits {}: expected a model whose head_dim is a multiple of {}, the elements that share a "
        "scale, got head_dim {}. Hint: use 16 or 32",
        kv_bits(type), block, args.head_dim());
}

void store_cache_row(std::byte* to, std::span<const float> row, CacheType type) noexcept {
  switch (type) {
    case CacheType::kF32:
      std::memcpy(to, row.data(), row.size_bytes());
      return;
    case CacheType::kBF16:
      std::ranges::transform(row, reinterpret_cast<uint16_t*>(to), f32_to_bf16);
      return;
    case CacheType::kQ8_0:
      break;
  }
  auto* blocks = reinterpret_cast<BlockQ8_0*>(to);
  constexpr std::size_t kBlock = kernels::kBlockWeights;
  for (std::size_t begin = 0; begin < row.size(); begin += kBlock)
    store_block(blocks[begin / kBlock], row.subspan(begin, kBlock));
}

}  // namespace lille
