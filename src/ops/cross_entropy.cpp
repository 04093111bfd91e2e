#include "ops/cross_entropy.h"

#include "ops/parallel.h"
#include "ops/shape.h"

namespace lille::ops {

std::vector<double> cross_entropy(Device& device, Rows logits, std::span<const int32_t> targets) {
  check_count("cross_entropy", "targets", targets.size(), logits.n_rows);
  for (const int32_t target : targets)
    if (target < 0 || target >= logits.n_cols)
      raise(ErrorCode::kInvalidArgument, "[cross_entropy] target: expected 0 to {}, got {}",
            logits.n_cols - 1, target);
  std::vector<double> losses(targets.size());
  for_row_ranges(device, logits.n_rows, 4 * logits.n_cols, [&](int64_t row_begin, int64_t row_end) {
    for (int64_t row_idx = row_begin; row_idx < row_end; ++row_idx) {
      const auto entry = static_cast<std::size_t>(row_idx);
      const float* row = logits.row(row_idx);
      losses[entry] = device.kernels.log_sum_exp(row, logits.n_cols) - double{row[targets[entry]]};
    }
  });
  return losses;
}

}  // namespace lille::ops
