#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/reference/reference.h"
#include "kernels/weight_kind.h"
#include "ops/parallel.h"
#include "ops/shape.h"

namespace lille::ops {
namespace {

const void* kv_head(const void* data, int64_t kv_head_idx, const AttentionRow& row,
                    const AttentionShape& shape) {
  return static_cast<const std::byte*>(data) +
         kv_head_idx * row.capacity * kernels::row_bytes(shape.cache_kind, shape.head_dim);
}

void check_shape(const AttentionShape& shape) {
  if (shape.n_head < 1 || shape.n_kv_heads < 1 || shape.head_dim < 1 || shape.n_head % shape.n_kv_heads != 0)
    raise(ErrorCode::kInvalidShape,
          "[attention] expected n_head a multiple of n_kv_heads and head_dim positive, got {}, {} and {}",
          shape.n_head, shape.n_kv_heads, shape.head_dim);
  if (!kernels::takes_attention(shape.cache_kind) ||
      shape.head_dim % kernels::block_weights(shape.cache_kind) != 0)
    raise(
        ErrorCode::kInvalidShape,
        "[attention] expected a cache of F32, F16 or BF16, or of Q8_0 and head_dim a multiple of {}, got {} "
        "and head_dim {}",
        kernels::kBlockWeights, kernels::weight_kind_name(shape.cache_kind), shape.head_dim);
}

void check_row(const AttentionRow& row, std::size_t row_idx) {
  if (row.n_keys < 1 || row.n_keys > row.capacity)
    raise(ErrorCode::kInvalidShape, "[attention] row {}: expected 1 to {} keys, its cache's capacity, got {}",
          row_idx, row.capacity, row.n_keys);
}

/// How many of the first n rows are at consecutive positions of one sequence.
int64_t n_consecutive(std::span<const AttentionRow> rows, int64_t n) {
  const AttentionRow& first = rows.front();
  int64_t idx = 1;
  while (idx < n) {
    const AttentionRow& row = rows[static_cast<std::size_t>(idx)];
    if (row.keys != first.keys || row.values != first.values || row.n_keys != first.n_keys + idx) break;
    ++idx;
  }
  return idx;
}

/// softmax of one head's scores, in double.
void head_weights(std::span<float> weights, const float* query, const void* keys,
                  const AttentionShape& shape) {
  const double scale = 1 / std::sqrt(static_cast<double>(shape.head_dim));
  const kernels::WeightMatrix matrix = {.kind = shape.cache_kind,
                                        .data = keys,
                                        .n_out = static_cast<int64_t>(weights.size()),
                                        .n_in = shape.head_dim};
  std::vector<double> scores(weights.size());
  double largest = -std::numeric_limits<double>::infinity();
  for (std::size_t key_idx = 0; key_idx < scores.size(); ++key_idx) {
    double sum = 0;
    for (int64_t dim = 0; dim < shape.head_dim; ++dim)
      sum += double{query[dim]} *
             double{kernels::reference::load_weight(matrix, static_cast<int64_t>(key_idx), dim)};
    scores[key_idx] = sum * scale;
    largest = std::fmax(largest, scores[key_idx]);
  }
  double total = 0;
  for (double& score : scores) total += score = std::exp(score - largest);
  for (std::size_t key_idx = 0; key_idx < scores.size(); ++key_idx)
    weights[key_idx] = static_cast<float>(scores[key_idx] / total);
}

}  // namespace

void scaled_dot_product_attention(Device& device, Rows out, Rows queries, std::span<const AttentionRow> rows,
                                  const AttentionShape& shape) {
  check_shape(shape);
  check_count("attention", "rows", rows.size(), queries.n_rows);
  check_rows("attention", "queries", queries, queries.n_rows, shape.n_head * shape.head_dim);
  check_rows("attention", "out", out, queries.n_rows, shape.n_head * shape.head_dim);
  int64_t n_keys_total = 0;
  for (std::size_t row_idx = 0; row_idx < rows.size(); ++row_idx) {
    check_row(rows[row_idx], row_idx);
    n_keys_total += rows[row_idx].n_keys;
  }

  const int64_t n_rep = shape.n_head / shape.n_kv_heads;
  const float scale = 1 / std::sqrt(static_cast<float>(shape.head_dim));
  const int64_t rows_of_task =
      std::clamp<int64_t>(queries.n_rows / (4 * device.pool.n_threads()), 1, kernels::kAttentionRows);
  const auto attend = [&](int64_t task_idx, int64_t) {
    const int64_t kv_head_idx = task_idx % shape.n_kv_heads;
    const int64_t column = kv_head_idx * n_rep * shape.head_dim;
    int64_t row_idx = task_idx / shape.n_kv_heads * rows_of_task;
    const int64_t end = std::min(queries.n_rows, row_idx + rows_of_task);
    while (row_idx < end) {
      const AttentionRow& row = rows[static_cast<std::size_t>(row_idx)];
      const int64_t n_rows = n_consecutive(rows.subspan(static_cast<std::size_t>(row_idx)), end - row_idx);
      device.kernels.attention({.out = out.row(row_idx) + column,
                                .queries = queries.row(row_idx) + column,
                                .keys = kv_head(row.keys, kv_head_idx, row, shape),
                                .values = kv_head(row.values, kv_head_idx, row, shape),
                                .cache_kind = shape.cache_kind,
                                .n_rows = n_rows,
                                .out_stride = out.stride,
                                .query_stride = queries.stride,
                                .n_rep = n_rep,
                                .n_keys = row.n_keys,
                                .head_dim = shape.head_dim,
                                .scale = scale});
      row_idx += n_rows;
    }
  };
  const int64_t n_tasks = (queries.n_rows + rows_of_task - 1) / rows_of_task * shape.n_kv_heads;
  if (2 * n_keys_total * shape.n_head * shape.head_dim < kMinParallelWork / 2) {
    for (int64_t task_idx = 0; task_idx < n_tasks; ++task_idx) attend(task_idx, 0);
  } else {
    device.pool.run(n_tasks, attend);
  }
}

std::vector<float> attention_weights(const float* queries, const AttentionRow& row,
                                     const AttentionShape& shape) {
  check_shape(shape);
  check_row(row, 0);
  const auto n_keys = static_cast<std::size_t>(row.n_keys);
  std::vector<float> weights(static_cast<std::size_t>(shape.n_head) * n_keys);
  for (int64_t head_idx = 0; head_idx < shape.n_head; ++head_idx) {
    const int64_t kv_head_idx = head_idx / (shape.n_head / shape.n_kv_heads);
    head_weights(std::span(weights).subspan(static_cast<std::size_t>(head_idx) * n_keys, n_keys),
                 queries + head_idx * shape.head_dim, kv_head(row.keys, kv_head_idx, row, shape), shape);
  }
  return weights;
}

}  // namespace lille::ops
