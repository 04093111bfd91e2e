#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "ops/read_order.h"

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
  /// Rows [begin, begin + n).
  Rows rows(int64_t begin, int64_t n) const noexcept { return {row(begin), n, n_cols, stride}; }
};

/// Memory of rows of activations that are rounded to 8 bits; linear grows it.
struct Q8Buffer {
  std::vector<int8_t> codes;
  std::vector<int16_t> words;
  std::vector<float> scales;
  std::vector<int32_t> sums;
  std::vector<float> group_sums;
};

/// What every op computes with: the kernels, the threads and their scratch. One for each Session.
struct Device {
  const kernels::KernelTable& kernels;
  ThreadPool& pool;
  std::vector<std::vector<float>> scratch;  ///< One for each thread; matmul grows it.
  /// Whether linear multiplies activations in float32 also by weights of fewer bits; otherwise those that
  /// meet codes are rounded to 8 bits, and those that meet bfloat16 to bfloat16.
  bool exact = true;
  Q8Buffer q8 = {};
  AlignedBuffer<std::byte> bf16 = {};  ///< Rows of activations that are rounded to bfloat16; linear grows it.
  ReadOrder read_order = {};           ///< Of the weights of linear.
};

}  // namespace lille::ops
