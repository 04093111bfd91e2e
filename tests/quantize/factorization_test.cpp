#include "quantize/factorization.h"

#include <cmath>

#include "quantize/quantize_cases.h"

namespace lille {
namespace {

// By hand: [[1, 2], [0, 1]] * diag(3, 5) * [[1, 0], [2, 1]].
TEST(FactorUdu, KnowsASmallMatrix) {
  ThreadPool pool(1);
  const UduFactors factors = factor_udu({23, 10, 10, 5}, pool);
  EXPECT_EQ(factors.n, 2);
  EXPECT_DOUBLE_EQ(factors.diagonal[0], 3);
  EXPECT_DOUBLE_EQ(factors.diagonal[1], 5);
  EXPECT_DOUBLE_EQ(factors.upper[0], 1);
  EXPECT_DOUBLE_EQ(factors.upper[1], 2);
  EXPECT_DOUBLE_EQ(factors.upper[3], 1);
}

/// a * a^T + the unit matrix, (n, n).
std::vector<double> positive_matrix(std::size_t n, uint32_t seed) {
  const std::vector<float> a = test::normal_floats(n * n, seed, 1.0f);
  std::vector<double> matrix(n * n);
  for (std::size_t row = 0; row < n; ++row)
    for (std::size_t col = 0; col < n; ++col) {
      for (std::size_t idx = 0; idx < n; ++idx)
        matrix[row * n + col] += double{a[row * n + idx]} * a[col * n + idx];
      if (row == col) matrix[row * n + col] += 1;
    }
  return matrix;
}

TEST(FactorUdu, MultipliesBackAndSolves) {
  for (const std::size_t n : {1u, 7u, 32u, 71u}) {
    const std::vector<double> matrix = positive_matrix(n, static_cast<uint32_t>(n));
    ThreadPool pool(2);
    const UduFactors factors = factor_udu(matrix, pool);
    for (std::size_t row = 0; row < n; ++row)
      for (std::size_t col = 0; col < n; ++col) {
        double sum = 0;
        for (std::size_t idx = std::max(row, col); idx < n; ++idx)
          sum += factors.upper[row * n + idx] * factors.diagonal[idx] * factors.upper[col * n + idx];
        EXPECT_NEAR(sum, matrix[row * n + col], 1e-10 * static_cast<double>(n)) << n;
      }
    std::vector<double> x(n, 1.0);
    solve(factors, x);
    for (std::size_t col = 0; col < n; ++col) {
      double sum = 0;
      for (std::size_t row = 0; row < n; ++row) sum += x[row] * matrix[row * n + col];
      EXPECT_NEAR(sum, 1.0, 1e-9) << n;
    }
  }
}

TEST(FactorUdu, DoesNotDependOnThreads) {
  const std::vector<double> matrix = positive_matrix(100, 5);
  ThreadPool one(1), three(3);
  EXPECT_EQ(factor_udu(matrix, one).upper, factor_udu(matrix, three).upper);
}

TEST(FactorUdu, RefusesWhatIsNotPositiveDefinite) {
  ThreadPool pool(1);
  const ErrorCode code = ErrorCode::kInvalidArgument;
  test::expect_error(code, "expected a positive definite matrix, got the pivot -3 in row 0", [&] {
    factor_udu({1, 2, 2, 1}, pool);
  });
  test::expect_error(code, "positive definite", [&] { factor_udu({1, 0, 0, NAN}, pool); });
}

}  // namespace
}  // namespace lille
