#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"

namespace lille {

/// A symmetric positive definite matrix as U * diag(d) * U^T: the Cholesky factorisation that begins at the
/// last row, without square roots.
struct UduFactors {
  int64_t n = 0;
  std::vector<double> upper;     ///< (n, n): U, ones on its diagonal; below it is nothing of use.
  std::vector<double> diagonal;  ///< (n): d, positive.
};

/// Factors a matrix.
/// @param matrix  (n, n), symmetric; only what is on and above the diagonal is read.
/// @param pool    its threads share the rows; the result does not depend on them.
/// @throws Error(kInvalidArgument) if it is not positive definite.
UduFactors factor_udu(std::vector<double> matrix, ThreadPool& pool);

/// Replaces a row vector x by x * A^-1, A being what was factored.
/// @param x  (n)
void solve(const UduFactors& factors, std::span<double> x) noexcept;

}  // namespace lille
