#include "ops/linear.h"

#include <algorithm>

#include "kernels/weight_kind.h"
#include "ops/parallel.h"
#include "ops/shape.h"

namespace lille::ops {
namespace {

/// Outputs of a task come in multiples of this, a multiple of every kernel's tile.
constexpr int64_t kOutTile = 16;

/// Rows of activations in bfloat16 begin at multiples of this many elements.
constexpr int64_t kBf16Padding = 32;

/// Outputs for each task: enough tasks that a thread held up by others on its core does not hold up the rest,
/// none so small that claiming it costs more than computing it.
int64_t outs_per_task(int64_t n_rows, const kernels::WeightMatrix& weight, int64_t n_threads) noexcept {
  const int64_t work_per_out = std::max<int64_t>(1, n_rows * weight.n_in);
  const int64_t outs_worth_a_task = (kMinParallelWork + work_per_out - 1) / work_per_out;
  const int64_t n_ranges = 8 * n_threads;
  const int64_t even_share = (weight.n_out + n_ranges - 1) / n_ranges;
  return (std::max(outs_worth_a_task, even_share) + kOutTile - 1) / kOutTile * kOutTile;
}

void grow_scratch(Device& device, int64_t n_floats) {
  device.scratch.resize(static_cast<std::size_t>(device.pool.n_threads()));
  for (std::vector<float>& scratch : device.scratch)
    if (scratch.size() < static_cast<std::size_t>(n_floats))
      scratch.resize(static_cast<std::size_t>(n_floats));
}

// At least n elements, which keep their address until there must be more.
template <typename T>
T* grown(std::vector<T>& buffer, int64_t n) {
  if (buffer.size() < static_cast<std::size_t>(n)) buffer.resize(static_cast<std::size_t>(n));
  return buffer.data();
}

// x rounded to 8 bits, for a matrix of codes.
kernels::Q8Rows quantize(Device& device, Rows x, int64_t group_size) {
  const int64_t n_blocks = x.n_cols / kernels::kQ8Block;
  const int64_t stride = (x.n_cols + kernels::kQ8Padding - 1) / kernels::kQ8Padding * kernels::kQ8Padding;
  // Not a power of two: values of one row would then compete for the same lines of a cache.
  const int64_t block_stride = x.n_rows == 1 ? 1 : (x.n_rows / 16 | 1) * 16 + 16;
  const kernels::Q8Rows rows = {grown(device.q8.codes, x.n_rows * stride),
                                stride,
                                block_stride,
                                grown(device.q8.scales, block_stride * n_blocks),
                                grown(device.q8.sums, block_stride * n_blocks),
                                grown(device.q8.group_sums, block_stride * (x.n_cols / group_size))};
  for_row_ranges(device, x.n_rows, x.n_cols, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      device.kernels.quantize_q8(rows.from(row), x.row(row), x.n_cols, group_size);
  });
  return rows;
}

// Calls multiply(out_begin, out_end, scratch) for ranges of outputs, on all threads.
template <typename Multiply>
void for_out_ranges(Device& device, int64_t n_rows, const kernels::WeightMatrix& weight, Multiply multiply) {
  const int64_t n_outs = outs_per_task(n_rows, weight, device.pool.n_threads());
  device.pool.run((weight.n_out + n_outs - 1) / n_outs, [&](int64_t task_idx, int64_t thread_idx) {
    const int64_t begin = task_idx * n_outs;
    multiply(begin, std::min(weight.n_out, begin + n_outs),
             device.scratch[static_cast<std::size_t>(thread_idx)].data());
  });
}

void linear_exact(Device& device, Rows out, Rows x, const kernels::WeightMatrix& weight) {
  grow_scratch(device, device.kernels.matmul_scratch_floats(weight.n_in));
  for_out_ranges(device, x.n_rows, weight, [&](int64_t begin, int64_t end, float* scratch) {
    device.kernels.matmul({.out = out.data,
                           .out_stride = out.stride,
                           .x = x.data,
                           .x_stride = x.stride,
                           .n_rows = x.n_rows,
                           .weight = weight,
                           .out_begin = begin,
                           .out_end = end,
                           .scratch = scratch});
  });
}

void linear_bf16(Device& device, Rows out, Rows x, const kernels::WeightMatrix& weight) {
  const kernels::Bf16Kernels& kernels = device.kernels.bf16;
  grow_scratch(device, device.kernels.matmul_scratch_floats(weight.n_in));
  // Whole vectors: one that lies in two lines of the cache is read twice.
  const int64_t stride = (x.n_cols + kBf16Padding - 1) / kBf16Padding * kBf16Padding;
  const auto n_bytes = static_cast<std::size_t>(x.n_rows * stride * kernels.x_bytes);
  if (device.bf16.size() < n_bytes) device.bf16 = AlignedBuffer<std::byte>(n_bytes);
  std::byte* rounded = device.bf16.data();
  for_row_ranges(device, x.n_rows, x.n_cols, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      kernels.round(rounded + row * stride * kernels.x_bytes, x.row(row), x.n_cols);
  });
  for_out_ranges(device, x.n_rows, weight, [&](int64_t begin, int64_t end, float* scratch) {
    kernels.matmul({.out = out.data,
                    .out_stride = out.stride,
                    .x = rounded,
                    .x_stride = stride,
                    .n_rows = x.n_rows,
                    .weight = weight,
                    .out_begin = begin,
                    .out_end = end,
                    .scratch = scratch});
  });
}

void linear_q8(Device& device, Rows out, Rows x, const kernels::WeightMatrix& weight) {
  grow_scratch(device, device.kernels.matmul_q8_scratch_floats(weight.n_in));
  const kernels::Q8Rows rows = quantize(device, x, kernels::group_size_of(weight));
  for_out_ranges(device, x.n_rows, weight, [&](int64_t begin, int64_t end, float* scratch) {
    device.kernels.matmul_q8({.out = out.data,
                              .out_stride = out.stride,
                              .x = rows,
                              .n_rows = x.n_rows,
                              .weight = weight,
                              .out_begin = begin,
                              .out_end = end,
                              .scratch = scratch});
  });
}

}  // namespace

void linear(Device& device, Rows out, Rows x, const kernels::WeightMatrix& weight) {
  check_rows("linear", "x", x, x.n_rows, weight.n_in);
  check_rows("linear", "out", out, x.n_rows, weight.n_out);
  if (x.n_rows == 0) return;
  if (device.exact) return linear_exact(device, out, x, weight);
  if (kernels::takes_q8(weight.kind)) return linear_q8(device, out, x, weight);
  if (weight.kind == kernels::WeightKind::kBF16) return linear_bf16(device, out, x, weight);
  linear_exact(device, out, x, weight);
}

}  // namespace lille::ops
