#pragma once

#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "ops/device.h"

namespace lille::ops {

/// @throws Error(kInvalidShape) unless `rows` is (n_rows, n_cols); `where` is the op, `what` the argument.
inline void check_rows(std::string_view where, std::string_view what, const Rows& rows, int64_t n_rows,
                       int64_t n_cols) {
  if (rows.n_rows != n_rows || rows.n_cols != n_cols)
    raise(ErrorCode::kInvalidShape, "[{}] {}: expected ({}, {}), got ({}, {})", where, what, n_rows, n_cols,
          rows.n_rows, rows.n_cols);
}

/// @throws Error(kInvalidShape) unless there is one entry for each row.
inline void check_count(std::string_view where, std::string_view what, std::size_t n_entries,
                        int64_t n_rows) {
  if (static_cast<int64_t>(n_entries) != n_rows)
    raise(ErrorCode::kInvalidShape, "[{}] {}: expected {}, one for each row, got {}", where, what, n_rows,
          n_entries);
}

}  // namespace lille::ops
