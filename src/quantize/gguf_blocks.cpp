#include "quantize/gguf_blocks.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "kernels/weight_kind.h"
#include "quantize/block_scales.h"
#include "quantize/k_blocks.h"
#include "quantize/rows.h"

namespace lille {
namespace {

using kernels::BlockQ4_0;
using kernels::BlockQ4_K;
using kernels::BlockQ5_0;
using kernels::BlockQ6_K;
using kernels::BlockQ8_0;
using kernels::WeightKind;
using lille::quantize_block;  // of k_blocks.h
using Weights = std::span<const float>;

/// The weight with the largest absolute value, the first of equals, with its sign.
float farthest_from_zero(Weights weights) noexcept {
  float farthest = 0;
  for (const float weight : weights)
    if (std::fabs(weight) > std::fabs(farthest)) farthest = weight;
  return farthest;
}

void quantize_block(BlockQ8_0& block, Weights weights) {
  const float scale = std::fabs(farthest_from_zero(weights)) / 127.0f;
  const float inverse = inverse_or_zero(scale);
  put_half(block.scale, scale);
  // Halves go away from zero.
  for (std::size_t idx = 0; idx < weights.size(); ++idx)
    block.codes[idx] = static_cast<int8_t>(std::round(weights[idx] * inverse));
}

/// The code of a weight that is never below -max_code / 2 - 1: rounded by cutting off, so halves go up.
int unsigned_code(float scaled, int max_code) noexcept {
  const float half_range = static_cast<float>((max_code + 1) / 2) + 0.5f;
  return std::min(max_code, static_cast<int>(scaled + half_range));
}

void quantize_block(BlockQ4_0& block, Weights weights) {
  const float scale = farthest_from_zero(weights) / -8.0f;
  const float inverse = inverse_or_zero(scale);
  put_half(block.scale, scale);
  for (std::size_t idx = 0; idx < 16; ++idx) {
    const int low = unsigned_code(weights[idx] * inverse, 15);
    const int high = unsigned_code(weights[idx + 16] * inverse, 15);
    block.codes[idx] = static_cast<uint8_t>(low | high << 4);
  }
}

void quantize_block(BlockQ5_0& block, Weights weights) {
  const float scale = farthest_from_zero(weights) / -16.0f;
  const float inverse = inverse_or_zero(scale);
  put_half(block.scale, scale);
  uint32_t fifth_bits = 0;
  for (std::size_t idx = 0; idx < 16; ++idx) {
    const auto low = static_cast<uint32_t>(unsigned_code(weights[idx] * inverse, 31));
    const auto high = static_cast<uint32_t>(unsigned_code(weights[idx + 16] * inverse, 31));
    block.codes[idx] = static_cast<uint8_t>((low & 15) | (high & 15) << 4);
    fifth_bits |= low >> 4 << idx | high >> 4 << (idx + 16);
  }
  std::memcpy(block.high_bits, &fifth_bits, sizeof(fifth_bits));
}

template <typename Block>
void quantize_row(std::byte* to, Weights row, std::size_t n_weights) {
  auto* block = reinterpret_cast<Block*>(to);
  for (std::size_t begin = 0; begin < row.size(); begin += n_weights, ++block)
    quantize_block(*block, row.subspan(begin, n_weights));
}

using QuantizeRow = void (*)(std::byte* to, Weights row, std::size_t n_weights);

QuantizeRow row_quantizer(WeightKind kind) noexcept {
  switch (kind) {
    case WeightKind::kQ8_0:
      return quantize_row<BlockQ8_0>;
    case WeightKind::kQ4_0:
      return quantize_row<BlockQ4_0>;
    case WeightKind::kQ5_0:
      return quantize_row<BlockQ5_0>;
    case WeightKind::kQ4_K:
      return quantize_row<BlockQ4_K>;
    case WeightKind::kQ6_K:
      return quantize_row<BlockQ6_K>;
    default:
      return nullptr;
  }
}

}  // namespace

bool can_quantize_to(WeightKind kind) noexcept { return row_quantizer(kind) != nullptr; }

std::vector<std::byte> quantize_blocks(const kernels::WeightMatrix& source, WeightKind kind,
                                       ThreadPool& pool) {
  const QuantizeRow quantizer = row_quantizer(kind);
  if (quantizer == nullptr)
    raise(ErrorCode::kInvalidArgument, "[quantize] kind: expected Q8_0, Q4_0, Q5_0, Q4_K or Q6_K, got {}",
          kernels::weight_kind_name(kind));
  const int64_t n_weights = kernels::block_weights(kind);
  if (source.n_in % n_weights != 0)
    raise(ErrorCode::kInvalidArgument,
          "[quantize] rows: expected a multiple of {}, the weights of a block of {}, got {}. Hint: {}",
          n_weights, kernels::weight_kind_name(kind), source.n_in,
          source.n_in % kernels::kBlockWeights == 0
              ? "Q8_0, Q5_0 and Q4_0 have blocks of 32"
              : "no quantised type of GGUF has blocks that fit; use F16 or BF16");
  const int64_t row_bytes = source.n_in / n_weights * kernels::block_bytes(kind);
  std::vector<std::byte> blocks(static_cast<std::size_t>(source.n_out * row_bytes));
  for_each_row(source, pool, [&](int64_t row_idx, Weights row) {
    quantizer(blocks.data() + row_idx * row_bytes, row, static_cast<std::size_t>(n_weights));
  });
  return blocks;
}

}  // namespace lille
