#include "eval/bit_plan.h"

#include <array>

#include "base/check.h"

namespace lille {
namespace {

constexpr std::array<int64_t, 6> kBits = {2, 3, 4, 5, 6, 8};

double square(double value) { return value * value; }

}  // namespace

double expected_kl(const MatrixSensitivity& matrix, int64_t bits) noexcept {
  const auto steps = [](int64_t n) { return static_cast<double>((int64_t{1} << n) - 1); };
  return matrix.kl * square(steps(kSensitivityBits) / steps(bits));
}

std::vector<int64_t> plan_bits(std::span<const MatrixSensitivity> matrices, double n_bits) {
  std::vector<std::size_t> steps(matrices.size(), 0);
  double n_left = n_bits;
  for (const MatrixSensitivity& matrix : matrices)
    n_left -= static_cast<double>(matrix.n_weights * kBits.front());
  if (n_left < 0)
    raise(ErrorCode::kInvalidArgument,
          "[quantize] plan: expected room for {} bits of every weight, got {:.0f} bits too few. Hint: a "
          "larger target, or larger groups",
          kBits.front(), -n_left);
  // The gain for each bit shrinks from step to step, so the best next step is the best of all that follow.
  for (;;) {
    std::size_t best = matrices.size();
    double most = -1;
    for (std::size_t idx = 0; idx < matrices.size(); ++idx) {
      if (steps[idx] + 1 == kBits.size()) continue;
      const int64_t bits = kBits[steps[idx]];
      const int64_t more = kBits[steps[idx] + 1];
      const double cost = static_cast<double>(matrices[idx].n_weights * (more - bits));
      const double gain = (expected_kl(matrices[idx], bits) - expected_kl(matrices[idx], more)) / cost;
      if (cost > n_left || !(gain > most)) continue;
      most = gain;
      best = idx;
    }
    if (best == matrices.size()) break;
    n_left -= static_cast<double>(matrices[best].n_weights * (kBits[steps[best] + 1] - kBits[steps[best]]));
    ++steps[best];
  }
  std::vector<int64_t> bits;
  for (const std::size_t step : steps) bits.push_back(kBits[step]);
  return bits;
}

}  // namespace lille
