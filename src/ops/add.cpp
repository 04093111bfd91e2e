#include "ops/add.h"

#include "ops/parallel.h"
#include "ops/shape.h"

namespace lille::ops {

void add(Device& device, Rows x, Rows y) {
  check_rows("add", "y", y, x.n_rows, x.n_cols);
  for_row_ranges(device, x.n_rows, x.n_cols, [&](int64_t row_begin, int64_t row_end) {
    for (int64_t row_idx = row_begin; row_idx < row_end; ++row_idx)
      device.kernels.add(x.row(row_idx), y.row(row_idx), x.n_cols);
  });
}

}  // namespace lille::ops
