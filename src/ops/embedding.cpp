#include "ops/embedding.h"

#include "ops/parallel.h"
#include "ops/shape.h"

namespace lille::ops {

void embedding(Device& device, Rows out, const kernels::WeightMatrix& table, std::span<const int32_t> ids) {
  check_rows("embedding", "out", out, static_cast<int64_t>(ids.size()), table.n_in);
  for (const int32_t id : ids)
    if (id < 0 || id >= table.n_out)
      raise(ErrorCode::kInvalidArgument, "[embedding] token id: expected 0 to {}, got {}", table.n_out - 1,
            id);
  for_row_ranges(device, out.n_rows, table.n_in, [&](int64_t row_begin, int64_t row_end) {
    for (int64_t row_idx = row_begin; row_idx < row_end; ++row_idx)
      device.kernels.dequantize_row(out.row(row_idx), table, ids[static_cast<std::size_t>(row_idx)]);
  });
}

}  // namespace lille::ops
