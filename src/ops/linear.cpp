#include "ops/linear.h"

#include <algorithm>

#include "ops/parallel.h"
#include "ops/shape.h"

namespace lille::ops {
namespace {

/// Outputs of a task come in multiples of this, a multiple of every kernel's tile.
constexpr int64_t kOutTile = 16;

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

}  // namespace

void linear(Device& device, Rows out, Rows x, const kernels::WeightMatrix& weight) {
  check_rows("linear", "x", x, x.n_rows, weight.n_in);
  check_rows("linear", "out", out, x.n_rows, weight.n_out);
  if (x.n_rows == 0) return;
  grow_scratch(device, device.kernels.matmul_scratch_floats(weight.n_in));

  const kernels::MatmulArgs whole = {.out = out.data,
                                     .out_stride = out.stride,
                                     .x = x.data,
                                     .x_stride = x.stride,
                                     .n_rows = x.n_rows,
                                     .weight = weight,
                                     .out_begin = 0,
                                     .out_end = weight.n_out,
                                     .scratch = nullptr};
  const int64_t n_outs = outs_per_task(x.n_rows, weight, device.pool.n_threads());
  device.pool.run((weight.n_out + n_outs - 1) / n_outs, [&](int64_t task_idx, int64_t thread_idx) {
    kernels::MatmulArgs args = whole;
    args.out_begin = task_idx * n_outs;
    args.out_end = std::min(weight.n_out, args.out_begin + n_outs);
    args.scratch = device.scratch[static_cast<std::size_t>(thread_idx)].data();
    device.kernels.matmul(args);
  });
}

}  // namespace lille::ops
