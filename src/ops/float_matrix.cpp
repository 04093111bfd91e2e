#include "ops/float_matrix.h"

#include <algorithm>

#include "ops/linear.h"
#include "ops/parallel.h"

namespace lille::ops {
namespace {

/// Rows and columns that are turned together, so that both sides stay in the nearest cache.
constexpr int64_t kTile = 32;

}  // namespace

FloatMatrix::FloatMatrix(int64_t rows_of_it, int64_t cols_of_it)
    : n_rows(rows_of_it), n_cols(cols_of_it), values(static_cast<std::size_t>(rows_of_it * cols_of_it)) {}

kernels::WeightMatrix FloatMatrix::weight() const noexcept {
  return {.kind = kernels::WeightKind::kF32, .data = values.data(), .n_out = n_rows, .n_in = n_cols};
}

FloatMatrix copied(Rows rows) {
  FloatMatrix copy(rows.n_rows, rows.n_cols);
  for (int64_t row_idx = 0; row_idx < rows.n_rows; ++row_idx)
    std::copy_n(rows.row(row_idx), rows.n_cols, copy.rows().row(row_idx));
  return copy;
}

FloatMatrix transposed(Device& device, Rows rows) {
  FloatMatrix columns(rows.n_cols, rows.n_rows);
  const int64_t n_tiles = (rows.n_cols + kTile - 1) / kTile;
  for_row_ranges(device, n_tiles, kTile * rows.n_rows, [&](int64_t tile_begin, int64_t tile_end) {
    const int64_t col_end = std::min(rows.n_cols, tile_end * kTile);
    for (int64_t row_begin = 0; row_begin < rows.n_rows; row_begin += kTile) {
      const int64_t row_end = std::min(rows.n_rows, row_begin + kTile);
      for (int64_t col = tile_begin * kTile; col < col_end; ++col)
        for (int64_t row = row_begin; row < row_end; ++row)
          columns.values[static_cast<std::size_t>(col * rows.n_rows + row)] = rows.row(row)[col];
    }
  });
  return columns;
}

void multiply(Device& device, Rows out, Rows a, const FloatMatrix& b) { linear(device, out, a, b.weight()); }

}  // namespace lille::ops
