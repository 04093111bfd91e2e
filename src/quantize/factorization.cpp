#include "quantize/factorization.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"

namespace lille {
namespace {

/// Rows of a task of the thread pool.
constexpr int64_t kRowsOfTask = 32;

/// to -= factor * from
void subtract(double* to, const double* from, double factor, int64_t n) noexcept {
  for (int64_t idx = 0; idx < n; ++idx) to[idx] -= factor * from[idx];
}

/// Several sums at once, since each addition waits for the one before it.
double dot(const double* a, const double* b, int64_t n) noexcept {
  std::array<double, 8> sums{};
  int64_t idx = 0;
  for (; idx + 8 <= n; idx += 8)
    for (int64_t lane = 0; lane < 8; ++lane) sums[lane] += a[idx + lane] * b[idx + lane];
  for (; idx < n; ++idx) sums[0] += a[idx] * b[idx];
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

}  // namespace

UduFactors factor_udu(std::vector<double> matrix, ThreadPool& pool) {
  const auto n = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(matrix.size()))));
  LILLE_CHECK(n * n == static_cast<int64_t>(matrix.size()));
  UduFactors factors = {n, std::move(matrix), std::vector<double>(static_cast<std::size_t>(n))};
  double* upper = factors.upper.data();
  std::vector<double> column(static_cast<std::size_t>(n));
  for (int64_t last = n - 1; last >= 0; --last) {
    const double pivot = upper[last * n + last];
    if (!(pivot > 0) || !std::isfinite(pivot))
      raise(ErrorCode::kInvalidArgument,
            "[quantize] Hessian: expected a positive definite matrix, got the pivot {} in row {}. Hint: a "
            "longer calibration text, or more damping",
            pivot, last);
    factors.diagonal[static_cast<std::size_t>(last)] = pivot;
    upper[last * n + last] = 1;
    for (int64_t row = 0; row < last; ++row) {
      column[static_cast<std::size_t>(row)] = upper[row * n + last];
      upper[row * n + last] /= pivot;
    }
    pool.run((last + kRowsOfTask - 1) / kRowsOfTask, [&](int64_t task_idx, int64_t) {
      const int64_t end = std::min(last, (task_idx + 1) * kRowsOfTask);
      for (int64_t row = task_idx * kRowsOfTask; row < end; ++row)
        subtract(upper + row * n + row, column.data() + row, upper[row * n + last], last - row);
    });
  }
  return factors;
}

void solve(const UduFactors& factors, std::span<double> x) noexcept {
  const int64_t n = factors.n;
  const double* upper = factors.upper.data();
  for (int64_t row = n - 1; row >= 0; --row)
    x[row] -= dot(x.data() + row + 1, upper + row * n + row + 1, n - row - 1);
  for (int64_t row = 0; row < n; ++row) x[row] /= factors.diagonal[static_cast<std::size_t>(row)];
  for (int64_t row = 0; row < n; ++row)
    subtract(x.data() + row + 1, upper + row * n + row + 1, x[row], n - row - 1);
}

}  // namespace lille
