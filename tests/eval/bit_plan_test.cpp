#include "eval/bit_plan.h"

#include <array>
#include <cmath>

#include "support.h"

namespace lille {
namespace {

constexpr std::array<int64_t, 6> kBits = {2, 3, 4, 5, 6, 8};

double total_kl(const std::vector<MatrixSensitivity>& matrices, const std::vector<int64_t>& bits) {
  double sum = 0;
  for (std::size_t idx = 0; idx < matrices.size(); ++idx) sum += expected_kl(matrices[idx], bits[idx]);
  return sum;
}

double total_bits(const std::vector<MatrixSensitivity>& matrices, const std::vector<int64_t>& bits) {
  double sum = 0;
  for (std::size_t idx = 0; idx < matrices.size(); ++idx)
    sum += static_cast<double>(matrices[idx].n_weights * bits[idx]);
  return sum;
}

/// The least divergence of all plans that fit.
double best_kl(const std::vector<MatrixSensitivity>& matrices, double n_bits) {
  double least = INFINITY;
  for (const int64_t a : kBits)
    for (const int64_t b : kBits)
      for (const int64_t c : kBits)
        if (total_bits(matrices, {a, b, c}) <= n_bits) least = std::min(least, total_kl(matrices, {a, b, c}));
  return least;
}

TEST(BitPlan, ExpectsASixteenthOfTheDivergenceForAFourthOfTheStep) {
  const MatrixSensitivity matrix = {"m", 100, 0.49};
  EXPECT_DOUBLE_EQ(expected_kl(matrix, 3), 0.49);
  EXPECT_DOUBLE_EQ(expected_kl(matrix, 4), 0.49 * 49 / 225);
}

TEST(BitPlan, IsTheBestOfAllPlansForTheBitsThatItUses) {
  const std::vector<MatrixSensitivity> matrices = {{"a", 1000, 0.2}, {"b", 300, 0.01}, {"c", 500, 0.5}};
  for (double n_bits = 3600; n_bits < 15000; n_bits += 250) {
    const std::vector<int64_t> bits = plan_bits(matrices, n_bits);
    EXPECT_LE(total_bits(matrices, bits), n_bits);
    // One step of the largest matrix is what it may leave unused at the most.
    EXPECT_LE(total_kl(matrices, bits), best_kl(matrices, std::max(3600.0, n_bits - 2000)) + 1e-12) << n_bits;
    EXPECT_GE(total_kl(matrices, bits), best_kl(matrices, n_bits) - 1e-12) << n_bits;
  }
  EXPECT_EQ(plan_bits(matrices, 1e9), (std::vector<int64_t>{8, 8, 8}));
  EXPECT_EQ(plan_bits(matrices, 3600), (std::vector<int64_t>{2, 2, 2}));
}

TEST(BitPlan, RefusesWhatCannotFit) {
  test::expect_error(ErrorCode::kInvalidArgument,
                     "expected room for 2 bits of every weight, got 10 bits too few", [] {
                       plan_bits(std::vector<MatrixSensitivity>{{"a", 100, 1}}, 190);
                     });
}

}  // namespace
}  // namespace lille
