#include <cmath>
#include <limits>

#include "kernels/float_kind.h"
#include "kernels/reference/reference.h"

namespace lille::kernels::reference {

void rms_norm(float* out, const float* x, const void* weight, FloatKind weight_kind, int64_t n,
              float eps) noexcept {
  double sum_of_squares = 0;
  for (int64_t idx = 0; idx < n; ++idx) sum_of_squares += double{x[idx]} * double{x[idx]};
  const double root = std::sqrt(sum_of_squares / static_cast<double>(n) + double{eps});
  for (int64_t idx = 0; idx < n; ++idx) {
    const auto normed = static_cast<float>(double{x[idx]} / root);
    out[idx] = normed * load_float(weight, weight_kind, idx);
  }
}

void swiglu(float* out, const float* gate, const float* up, int64_t n) noexcept {
  for (int64_t idx = 0; idx < n; ++idx) {
    const double x = gate[idx];
    const double silu = x == -std::numeric_limits<double>::infinity() ? -0.0 : x / (1 + std::exp(-x));
    out[idx] = static_cast<float>(silu * double{up[idx]});
  }
}

void add(float* x, const float* y, int64_t n) noexcept {
  for (int64_t idx = 0; idx < n; ++idx) x[idx] += y[idx];
}

double log_sum_exp(const float* x, int64_t n) noexcept {
  double largest = -std::numeric_limits<double>::infinity();
  for (int64_t idx = 0; idx < n; ++idx) {
    if (std::isnan(x[idx])) return std::numeric_limits<double>::quiet_NaN();
    if (x[idx] > largest) largest = x[idx];
  }
  if (std::isinf(largest)) return largest;
  double sum = 0;
  for (int64_t idx = 0; idx < n; ++idx) sum += std::exp(double{x[idx]} - largest);
  return largest + std::log(sum);
}

int64_t argmax(const float* x, int64_t n) noexcept {
  int64_t best = -1;
  for (int64_t idx = 0; idx < n; ++idx) {
    if (std::isnan(x[idx])) continue;
    if (best < 0 || x[idx] > x[best]) best = idx;
  }
  return best < 0 ? 0 : best;
}

}  // namespace lille::kernels::reference
