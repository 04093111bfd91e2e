#include "ops/swiglu.h"

#include "ops/parallel.h"
#include "ops/shape.h"

namespace lille::ops {

void swiglu(Device& device, Rows out, Rows gate, Rows up) {
  check_rows("swiglu", "up", up, gate.n_rows, gate.n_cols);
  check_rows("swiglu", "out", out, gate.n_rows, gate.n_cols);
  for_row_ranges(device, gate.n_rows, 4 * gate.n_cols, [&](int64_t row_begin, int64_t row_end) {
    for (int64_t row_idx = row_begin; row_idx < row_end; ++row_idx)
      device.kernels.swiglu(out.row(row_idx), gate.row(row_idx), up.row(row_idx), gate.n_cols);
  });
}

}  // namespace lille::ops
