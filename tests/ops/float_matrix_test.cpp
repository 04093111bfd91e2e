#include "ops/float_matrix.h"

#include "ops/ops_cases.h"

namespace lille::ops {
namespace {

FloatMatrix matrix_of(int64_t n_rows, int64_t n_cols, uint32_t seed) {
  FloatMatrix matrix(n_rows, n_cols);
  matrix.values = random_floats(matrix.values.size(), seed);
  return matrix;
}

TEST(FloatMatrix, TransposesAndCopiesAnyShape) {
  OwnDevice own(best_table());
  for (const auto& [n_rows, n_cols] : {std::pair{1, 1}, {3, 70}, {33, 32}, {100, 65}}) {
    FloatMatrix matrix = matrix_of(n_rows, n_cols, 1);
    FloatMatrix columns = transposed(own.device, matrix.rows());
    ASSERT_EQ(columns.n_rows, n_cols);
    ASSERT_EQ(columns.n_cols, n_rows);
    for (int64_t row = 0; row < n_rows; ++row)
      for (int64_t col = 0; col < n_cols; ++col)
        ASSERT_EQ(columns.rows().row(col)[row], matrix.rows().row(row)[col]);
    const int64_t n_half = (n_cols + 1) / 2;
    FloatMatrix half = copied(matrix.rows().columns(n_cols - n_half, n_half));
    for (int64_t row = 0; row < n_rows; ++row)
      for (int64_t col = 0; col < n_half; ++col)
        ASSERT_EQ(half.rows().row(row)[col], matrix.rows().row(row)[n_cols - n_half + col]);
  }
}

TEST(FloatMatrix, MultipliesByTheTransposeOfTheSecond) {
  OwnDevice own(best_table());
  FloatMatrix a = matrix_of(5, 37, 2);
  FloatMatrix b = matrix_of(9, 37, 3);
  FloatMatrix out(5, 9);
  multiply(own.device, out.rows(), a.rows(), b);
  for (int64_t row = 0; row < 5; ++row)
    for (int64_t col = 0; col < 9; ++col) {
      double sum = 0;
      for (int64_t idx = 0; idx < 37; ++idx) sum += double{a.rows().row(row)[idx]} * b.rows().row(col)[idx];
      EXPECT_NEAR(out.rows().row(row)[col], sum, 1e-5);
    }
}

}  // namespace
}  // namespace lille::ops
