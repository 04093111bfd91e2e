#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lille/model_args.h"
#include "ops/device.h"

namespace lille::ops {

/// cos and sin of pos * theta^(-2j/head_dim) for every position of a context, made in double and rounded
/// once.
class RopeTable {
 public:
  /// Widest head; rope() keeps a copy of one head on the stack.
  static constexpr int64_t kMaxHeadDim = ModelArgs::kMaxHeadDim;

  /// @throws Error(kInvalidShape) unless block_size >= 1 and head_dim is even, from 2 to kMaxHeadDim;
  ///   Error(kInvalidArgument) unless theta is positive and finite.
  RopeTable(int64_t block_size, int64_t head_dim, double theta);

  /// (head_dim / 2) each.
  const float* cos(int64_t pos) const noexcept { return cos_.data() + pos * n_pairs_; }
  const float* sin(int64_t pos) const noexcept { return sin_.data() + pos * n_pairs_; }
  int64_t block_size() const noexcept { return block_size_; }
  int64_t head_dim() const noexcept { return 2 * n_pairs_; }

 private:
  int64_t block_size_;
  int64_t n_pairs_;
  std::vector<float> cos_;
  std::vector<float> sin_;
};

/// Rotates every head of every row in place, row r at position positions[r].
/// @param x  (n_rows, n_heads * head_dim)
/// @throws Error(kInvalidShape), Error(kInvalidArgument) for a position outside the table.
/// Source: arXiv 2104.09864; the three layouts: docs/ROPE.md.
void rope(Device& device, Rows x, const RopeTable& table, RopeLayout layout,
          std::span<const int64_t> positions);

}  // namespace lille::ops
