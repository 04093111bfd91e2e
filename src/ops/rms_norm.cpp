#include "ops/rms_norm.h"

#include "ops/parallel.h"
#include "ops/shape.h"

namespace lille::ops {

void rms_norm(Device& device, Rows out, Rows x, const NormWeight& weight, float eps) {
  check_rows("rms_norm", "x", x, x.n_rows, weight.n);
  check_rows("rms_norm", "out", out, x.n_rows, weight.n);
  for_row_ranges(device, x.n_rows, x.n_cols, [&](int64_t row_begin, int64_t row_end) {
    for (int64_t row_idx = row_begin; row_idx < row_end; ++row_idx)
      device.kernels.rms_norm(out.row(row_idx), x.row(row_idx), weight.data, weight.kind, weight.n, eps);
  });
}

}  // namespace lille::ops
