#pragma once

#include <algorithm>
#include <cstdint>

#include "ops/device.h"

namespace lille::ops {

/// Elementary steps (multiply-adds, elements) below which a job is done before other threads would have
/// started.
inline constexpr int64_t kMinParallelWork = 32 * 1024;

/// Calls run_rows(row_begin, row_end) over [0, n_rows), on several threads if work_per_row makes it worth
/// while.
template <typename RunRows>
void for_row_ranges(Device& device, int64_t n_rows, int64_t work_per_row, RunRows run_rows) {
  if (n_rows <= 0) return;
  const int64_t n_threads = device.pool.n_threads();
  if (n_threads == 1 || n_rows == 1 || n_rows * work_per_row < 2 * kMinParallelWork) {
    run_rows(int64_t{0}, n_rows);
    return;
  }
  // Four ranges a thread even out what one thread loses to others on its core.
  const int64_t rows_worth_a_task =
      std::max<int64_t>(1, kMinParallelWork / std::max<int64_t>(1, work_per_row));
  const int64_t n_ranges = 4 * n_threads;
  const int64_t rows_per_task = std::max(rows_worth_a_task, (n_rows + n_ranges - 1) / n_ranges);
  const int64_t n_tasks = (n_rows + rows_per_task - 1) / rows_per_task;
  device.pool.run(n_tasks, [&](int64_t task_idx, int64_t) {
    const int64_t row_begin = task_idx * rows_per_task;
    run_rows(row_begin, std::min(n_rows, row_begin + rows_per_task));
  });
}

}  // namespace lille::ops
