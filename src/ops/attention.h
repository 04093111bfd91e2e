#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/device.h"

namespace lille::ops {

/// What a row of queries attends to: the keys and values of its own sequence.
struct AttentionRow {
  const void* keys = nullptr;    ///< (n_kv_heads, capacity, head_dim) of the cache's kind
  const void* values = nullptr;  ///< the same
  int64_t capacity = 0;          ///< Keys between two kv heads.
  int64_t n_keys = 0;            ///< Keys the row sees, itself included: causal attention is this number.
};

/// Heads of the queries and of the cache, and how the cache stores a row of one head.
struct AttentionShape {
  int64_t n_head = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;
  /// kernels::takes_attention, and head_dim is a multiple of its block_weights.
  kernels::WeightKind cache_kind = kernels::WeightKind::kF32;
};

/// Grouped-query softmax attention: out row = softmax(q * k^T / sqrt(head_dim)) * v over the row's keys.
/// @param out, queries  (n_rows, n_head * head_dim); may not alias.
/// @param rows          (n_rows), each with n_keys in [1, capacity]
/// @throws Error(kInvalidShape)
/// Source: arXiv 2305.13245 (GQA); arXiv 1805.02867 (online softmax).
void scaled_dot_product_attention(Device& device, Rows out, Rows queries, std::span<const AttentionRow> rows,
                                  const AttentionShape& shape);

/// The same softmax, written out: weights (n_head, n_keys) of one row. For observers; not a fast path.
/// @param queries  (n_head, head_dim)
/// @throws Error(kInvalidShape)
std::vector<float> attention_weights(const float* queries, const AttentionRow& row,
                                     const AttentionShape& shape);

}  // namespace lille::ops
