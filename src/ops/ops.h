#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "lille/model_args.h"

namespace lille::ops {

/// A view of n_rows rows of n_cols float32, rows `stride` elements apart.
struct Rows {
  float* data = nullptr;
  int64_t n_rows = 0;
  int64_t n_cols = 0;
  int64_t stride = 0;

  float* row(int64_t row_idx) const noexcept { return data + row_idx * stride; }
  /// Columns [begin, begin + n): the same rows, seen narrower.
  Rows columns(int64_t begin, int64_t n) const noexcept { return {data + begin, n_rows, n, stride}; }
};

/// What every op computes with: the kernels, the threads and their scratch. One for each Session.
struct Device {
  const kernels::KernelTable& kernels;
  ThreadPool& pool;
  std::vector<std::vector<float>> scratch;  ///< One for each thread; matmul grows it.
};

/// The weight of an RMSNorm: n values of a float kind at any address.
struct NormWeight {
  const void* data = nullptr;
  kernels::FloatKind kind = kernels::FloatKind::kF32;
  int64_t n = 0;
};

/// out = rows `ids` of the table as float32 (n_ids, n_in).
/// @throws Error(kInvalidShape); Error(kInvalidArgument) for an id outside [0, n_out).
void embedding(Device& device, Rows out, const kernels::WeightMatrix& table, std::span<const int32_t> ids);

/// Root-mean-square norm of each row: out = x / sqrt(mean(x^2) + eps) * weight; out may be x.
/// @throws Error(kInvalidShape) if widths differ.
/// Source: arXiv 1910.07467; mlx-lm mlx_lm/models/lille-130m.py.
void rms_norm(Device& device, Rows out, Rows x, const NormWeight& weight, float eps);

/// out (n_rows, n_out) = x (n_rows, n_in) * weight^T.
/// @throws Error(kInvalidShape)
void linear(Device& device, Rows out, Rows x, const kernels::WeightMatrix& weight);

/// cos and sin of pos * theta^(-2j/head_dim) for every position of a context, made in double and rounded once.
class RopeTable {
 public:
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
void rope(Device& device, Rows x, const RopeTable& table, RopeLayout layout, std::span<const int64_t> positions);

/// What a row of queries attends to: the keys and values of its own sequence.
struct AttentionRow {
  const void* keys = nullptr;    ///< (n_kv_heads, capacity, head_dim) of the cache's kind
  const void* values = nullptr;  ///< the same
  int64_t capacity = 0;          ///< Keys between two kv heads.
  int64_t n_keys = 0;            ///< Keys the row sees, itself included: causal attention is this number.
};

struct AttentionShape {
  int64_t n_head = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;
  kernels::FloatKind cache_kind = kernels::FloatKind::kF32;
};

/// Grouped-query softmax attention: out row = softmax(q * k^T / sqrt(head_dim)) * v over the row's keys.
/// @param out, queries  (n_rows, n_head * head_dim); may not alias.
/// @throws Error(kInvalidShape)
/// Source: arXiv 2305.13245 (GQA); arXiv 1805.02867 (online softmax).
void scaled_dot_product_attention(Device& device, Rows out, Rows queries, std::span<const AttentionRow> rows,
                                  const AttentionShape& shape);

/// The same softmax, written out: weights (n_head, n_keys) of one row. For observers; not a fast path.
std::vector<float> attention_weights(const float* queries, const AttentionRow& row, const AttentionShape& shape);

/// out = silu(gate) * up; out may be gate or up.
void swiglu(Device& device, Rows out, Rows gate, Rows up);

/// x += y.
void add(Device& device, Rows x, Rows y);

/// -log softmax(logits row)[target] for each row, in double.
/// @throws Error(kInvalidArgument) for a target outside the row.
std::vector<double> cross_entropy(Device& device, Rows logits, std::span<const int32_t> targets);

}  // namespace lille::ops
