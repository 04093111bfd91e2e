#include <cmath>

#include "kernels/float_kind.h"
#include "kernels/reference/reference.h"
#include "kernels/weight_kind.h"

// One weight of every kind. A product of a scale and a code is exact in float32 for GGUF's blocks, so that
// each weight has one value, however it is computed: a product, or a product and a sum that is rounded once.

namespace lille::kernels::reference {
namespace {

float half(const uint8_t* bytes) noexcept { return load_float(bytes, FloatKind::kF16, 0); }

/// Bits [first_bit, first_bit + n_bits) of a stream of bytes, n_bits <= 8.
int bits_at(const uint8_t* stream, int64_t first_bit, int64_t n_bits) noexcept {
  const uint8_t* from = stream + first_bit / 8;
  const int64_t shift = first_bit % 8;
  unsigned window = from[0];
  if (shift + n_bits > 8) window |= unsigned{from[1]} << 8;
  return static_cast<int>(window >> shift & ((1u << n_bits) - 1));
}

CodedWeight affine_weight(const WeightMatrix& weight, int64_t row, int64_t col) noexcept {
  const auto* codes = static_cast<const uint8_t*>(weight.data) + row * row_bytes(weight);
  const int64_t group_idx = (row * weight.n_in + col) / weight.group_size;
  return {.code = bits_at(codes, col * weight.bits, weight.bits),
          .scale = load_float(weight.scales, weight.scale_kind, group_idx),
          .bias = load_float(weight.biases, weight.scale_kind, group_idx)};
}

CodedWeight packed_weight(const WeightMatrix& weight, int64_t row, int64_t col) noexcept {
  const int64_t group_idx = col / weight.group_size;
  const int64_t in_group = col % weight.group_size;
  const int64_t lane = row % kPackedOuts;
  const uint8_t* group = static_cast<const uint8_t*>(weight.data) +
                         row / kPackedOuts * packed_panel_bytes(weight) +
                         group_idx * packed_group_bytes(weight);
  const uint8_t* floats = group + kPackedOuts * weight.group_size * weight.bits / 8;
  // Columns that share bytes: four of 8 bits, eight of 4.
  const int64_t shared = 32 / weight.bits;
  const uint8_t byte = group[in_group / shared * 4 * kPackedOuts + lane * 4 + in_group % 4];
  const int code = weight.bits == 8 ? byte : in_group % 8 < 4 ? byte & 15 : byte >> 4;
  return {.code = code,
          .scale = load_float(floats, weight.scale_kind, lane),
          .bias = load_float(floats, weight.scale_kind, kPackedOuts + lane)};
}

/// Code idx of a block of 32 with halves of bytes.
int low_or_high_half(const uint8_t* codes, int64_t idx) noexcept {
  return idx < 16 ? codes[idx] & 15 : codes[idx - 16] >> 4;
}

int fifth_bit(const uint8_t* high_bits, int64_t idx) noexcept { return bits_at(high_bits, idx, 1) << 4; }

CodedWeight coded(const BlockQ8_0& block, int64_t idx) noexcept {
  return {.code = block.codes[idx], .scale = half(block.scale)};
}

CodedWeight coded(const BlockQ4_0& block, int64_t idx) noexcept {
  return {.code = low_or_high_half(block.codes, idx) - 8, .scale = half(block.scale)};
}

CodedWeight coded(const BlockQ4_1& block, int64_t idx) noexcept {
  return {.code = low_or_high_half(block.codes, idx), .scale = half(block.scale), .bias = half(block.bias)};
}

CodedWeight coded(const BlockQ5_0& block, int64_t idx) noexcept {
  const int code = low_or_high_half(block.codes, idx) | fifth_bit(block.high_bits, idx);
  return {.code = code - 16, .scale = half(block.scale)};
}

CodedWeight coded(const BlockQ5_1& block, int64_t idx) noexcept {
  const int code = low_or_high_half(block.codes, idx) | fifth_bit(block.high_bits, idx);
  return {.code = code, .scale = half(block.scale), .bias = half(block.bias)};
}

template <typename Block>
CodedWeight block_coded(const WeightMatrix& weight, int64_t row, int64_t col) noexcept {
  const auto* blocks = static_cast<const Block*>(weight.data);
  return coded(blocks[(row * weight.n_in + col) / kBlockWeights], col % kBlockWeights);
}

/// The low four bits of a weight of BlockQ4_K or BlockQ5_K.
int sub_block_code(const uint8_t* codes, int64_t idx) noexcept {
  const int byte = codes[idx / 64 * 32 + idx % 32];
  return idx / 32 % 2 == 0 ? byte & 15 : byte >> 4;
}

template <typename Block>
float scaled_code(const Block& block, int64_t sub_idx, int code) noexcept {
  const float scale = half(block.scale) * static_cast<float>(sub_scale(block.scales_and_mins, sub_idx));
  const float min = half(block.min_scale) * static_cast<float>(sub_min(block.scales_and_mins, sub_idx));
  return scale * static_cast<float>(code) - min;
}

float weight_of(const BlockQ4_K& block, int64_t idx) noexcept {
  return scaled_code(block, idx / 32, sub_block_code(block.codes, idx));
}

float weight_of(const BlockQ5_K& block, int64_t idx) noexcept {
  const int fifth = (block.high_bits[idx % 32] >> (idx / 32) & 1) << 4;
  return scaled_code(block, idx / 32, sub_block_code(block.codes, idx) | fifth);
}

float weight_of(const BlockQ6_K& block, int64_t idx) noexcept {
  const int64_t half_idx = idx / 128;
  const int64_t quarter = idx / 32 % 4;
  const int low_byte = block.low_bits[half_idx * 64 + quarter % 2 * 32 + idx % 32];
  const int low = quarter < 2 ? low_byte & 15 : low_byte >> 4;
  const int high = block.high_bits[half_idx * 32 + idx % 32] >> (2 * quarter) & 3;
  const float scale = half(block.scale) * static_cast<float>(block.scales[idx / 16]);
  return scale * static_cast<float>((low | high << 4) - 32);
}

template <typename Block>
float super_block_weight(const WeightMatrix& weight, int64_t row, int64_t col) noexcept {
  const auto* blocks = static_cast<const Block*>(weight.data);
  return weight_of(blocks[(row * weight.n_in + col) / kSuperBlockWeights], col % kSuperBlockWeights);
}

}  // namespace

CodedWeight load_coded(const WeightMatrix& weight, int64_t row, int64_t col) noexcept {
  switch (weight.kind) {
    case WeightKind::kAffine:
      return affine_weight(weight, row, col);
    case WeightKind::kPacked:
      return packed_weight(weight, row, col);
    case WeightKind::kQ8_0:
      return block_coded<BlockQ8_0>(weight, row, col);
    case WeightKind::kQ4_0:
      return block_coded<BlockQ4_0>(weight, row, col);
    case WeightKind::kQ4_1:
      return block_coded<BlockQ4_1>(weight, row, col);
    case WeightKind::kQ5_0:
      return block_coded<BlockQ5_0>(weight, row, col);
    case WeightKind::kQ5_1:
      return block_coded<BlockQ5_1>(weight, row, col);
    default:
      return {};
  }
}

float load_weight(const WeightMatrix& weight, int64_t row, int64_t col) noexcept {
  switch (weight.kind) {
    case WeightKind::kF32:
      return load_float(weight.data, FloatKind::kF32, row * weight.n_in + col);
    case WeightKind::kF16:
      return load_float(weight.data, FloatKind::kF16, row * weight.n_in + col);
    case WeightKind::kBF16:
      return load_float(weight.data, FloatKind::kBF16, row * weight.n_in + col);
    case WeightKind::kQ4_K:
      return super_block_weight<BlockQ4_K>(weight, row, col);
    case WeightKind::kQ5_K:
      return super_block_weight<BlockQ5_K>(weight, row, col);
    case WeightKind::kQ6_K:
      return super_block_weight<BlockQ6_K>(weight, row, col);
    default:
      break;
  }
  const CodedWeight coded = load_coded(weight, row, col);
  return std::fma(static_cast<float>(coded.code), coded.scale, coded.bias);
}

}  // namespace lille::kernels::reference
