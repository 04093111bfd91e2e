#include "ops/unpermute_heads.h"

#include <algorithm>
#include <vector>

#include "ops/parallel.h"
#include "ops/shape.h"

namespace lille::ops {

void unpermute_heads(Device& device, Rows x, int64_t head_dim) {
  if (head_dim < 2 || head_dim % 2 != 0 || x.n_cols % head_dim != 0)
    raise(ErrorCode::kInvalidShape,
          "[unpermute_heads] x: expected columns in heads of an even width, got {} columns in heads of {}",
          x.n_cols, head_dim);
  const int64_t n_pairs = head_dim / 2;
  for_row_ranges(device, x.n_rows, x.n_cols, [&](int64_t row_begin, int64_t row_end) {
    std::vector<float> copy(static_cast<std::size_t>(head_dim));
    for (int64_t row_idx = row_begin; row_idx < row_end; ++row_idx) {
      for (float* head = x.row(row_idx); head != x.row(row_idx) + x.n_cols; head += head_dim) {
        std::copy(head, head + head_dim, copy.begin());
        for (int64_t j = 0; j < n_pairs; ++j) {
          head[j] = copy[static_cast<std::size_t>(2 * j)];
          head[j + n_pairs] = copy[static_cast<std::size_t>(2 * j + 1)];
        }
      }
    }
  });
}

}  // namespace lille::ops
