#pragma once

#include <string_view>

#include "kernels/block_formats.h"
#include "kernels/float_kind.h"
#include "kernels/kernel_types.h"

namespace lille::kernels {

/// Weights of a row that are stored together: 32 or 256 for GGUF's blocks, 1 for the other kinds.
constexpr int64_t block_weights(WeightKind kind) noexcept {
  switch (kind) {
    case WeightKind::kQ8_0:
    case WeightKind::kQ4_0:
    case WeightKind::kQ4_1:
    case WeightKind::kQ5_0:
    case WeightKind::kQ5_1:
      return kBlockWeights;
    case WeightKind::kQ4_K:
    case WeightKind::kQ5_K:
    case WeightKind::kQ6_K:
      return kSuperBlockWeights;
    case WeightKind::kF32:
    case WeightKind::kF16:
    case WeightKind::kBF16:
    case WeightKind::kAffine:
    case WeightKind::kPacked:
      break;
  }
  return 1;
}

/// Bytes of one block, or of one weight of the float kinds; 0 for kAffine and kPacked, whose codes may be no
/// whole bytes.
constexpr int64_t block_bytes(WeightKind kind) noexcept {
  switch (kind) {
    case WeightKind::kF32:
      return 4;
    case WeightKind::kF16:
    case WeightKind::kBF16:
      return 2;
    case WeightKind::kAffine:
    case WeightKind::kPacked:
      break;
    case WeightKind::kQ8_0:
      return sizeof(BlockQ8_0);
    case WeightKind::kQ4_0:
      return sizeof(BlockQ4_0);
    case WeightKind::kQ4_1:
      return sizeof(BlockQ4_1);
    case WeightKind::kQ5_0:
      return sizeof(BlockQ5_0);
    case WeightKind::kQ5_1:
      return sizeof(BlockQ5_1);
    case WeightKind::kQ4_K:
      return sizeof(BlockQ4_K);
    case WeightKind::kQ5_K:
      return sizeof(BlockQ5_K);
    case WeightKind::kQ6_K:
      return sizeof(BlockQ6_K);
  }
  return 0;
}

/// Whether the kind is one of GGUF's blocks.
constexpr bool is_block_kind(WeightKind kind) noexcept { return block_weights(kind) > 1; }

/// Whether matmul_q8 takes the kind: codes of at most 8 bits whose scales hold for whole blocks of kQ8Block.
constexpr bool takes_q8(WeightKind kind) noexcept {
  return kind == WeightKind::kAffine || kind == WeightKind::kPacked || block_weights(kind) == kBlockWeights;
}

/// Whether attention takes keys and values that are stored so; head_dim is then a multiple of block_weights.
constexpr bool takes_attention(WeightKind kind) noexcept {
  return kind == WeightKind::kF32 || kind == WeightKind::kF16 || kind == WeightKind::kBF16 ||
         kind == WeightKind::kQ8_0;
}

/// Weights of a row that share a scale, of a kind that takes_q8.
constexpr int64_t group_size_of(const WeightMatrix& weight) noexcept {
  return weight.group_size != 0 ? weight.group_size : kBlockWeights;
}

/// Bytes of one group of a panel of kPacked: codes, scales and biases.
constexpr int64_t packed_group_bytes(const WeightMatrix& weight) noexcept {
  return kPackedOuts * (weight.group_size * weight.bits / 8 + 2 * float_bytes(weight.scale_kind));
}

/// Bytes of one panel of kPacked.
constexpr int64_t packed_panel_bytes(const WeightMatrix& weight) noexcept {
  return weight.n_in / weight.group_size * packed_group_bytes(weight);
}

/// Bytes of a row of n_in weights of a float kind or of blocks.
constexpr int64_t row_bytes(WeightKind kind, int64_t n_in) noexcept {
  return n_in / block_weights(kind) * block_bytes(kind);
}

/// Bytes of one row of the matrix's data, scales and biases of kAffine not counted; kPacked: a sixteenth of a
/// panel.
constexpr int64_t row_bytes(const WeightMatrix& weight) noexcept {
  if (weight.kind == WeightKind::kPacked) return packed_panel_bytes(weight) / kPackedOuts;
  if (weight.kind == WeightKind::kAffine) return weight.n_in * weight.bits / 8;
  return row_bytes(weight.kind, weight.n_in);
}

/// "F32", "F16", "BF16", GGUF's names of its blocks ("Q8_0", "Q4_K"), "affine".
constexpr std::string_view weight_kind_name(WeightKind kind) noexcept {
  constexpr std::string_view kNames[] = {"F32",  "F16",  "BF16", "affine", "packed", "Q8_0", "Q4_0",
                                         "Q4_1", "Q5_0", "Q5_1", "Q4_K",   "Q5_K",   "Q6_K"};
  return kNames[static_cast<int>(kind)];
}

}  // namespace lille::kernels
