#include "ops/cross_entropy.h"

#include <limits>

#include "ops/ops_cases.h"

namespace lille::ops {
namespace {

using CrossEntropy = EveryTable;

TEST_P(CrossEntropy, EqualsTheFormulaInDouble) {
  OwnDevice own(table());
  const int64_t n_rows = 20;
  const int64_t n_cols = 331;
  std::vector<float> logits = random_floats(n_rows * n_cols, 1);
  for (float& value : logits) value *= 6;
  std::vector<int32_t> targets;
  for (int32_t row = 0; row < n_rows; ++row) targets.push_back(row * 17 % 331);
  const std::vector<double> losses = cross_entropy(own.device, rows_of(logits, n_rows, n_cols), targets);
  for (std::size_t row = 0; row < targets.size(); ++row) {
    const float* values = logits.data() + row * static_cast<std::size_t>(n_cols);
    double sum = 0;
    for (int64_t col = 0; col < n_cols; ++col) sum += std::exp(double{values[col]});
    EXPECT_NEAR(losses[row], std::log(sum) - double{values[targets[row]]}, 1e-6);
  }
}

TEST_P(CrossEntropy, ImpossibleTargetsCostInfinity) {
  OwnDevice own(table());
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> logits = {0, -infinity, 0};
  const std::vector<int32_t> targets = {1};
  EXPECT_EQ(cross_entropy(own.device, rows_of(logits, 1, 3), targets)[0], double{infinity});
}

LILLE_FOR_EVERY_TABLE(CrossEntropy);

TEST(CrossEntropyInput, IsChecked) {
  OwnDevice own(best_table());
  std::vector<float> logits(8);
  const auto with = [&](std::vector<int32_t> targets) {
    return [&, targets] { cross_entropy(own.device, rows_of(logits, 2, 4), targets); };
  };
  test::expect_error(ErrorCode::kInvalidArgument, "expected 0 to 3, got 4", with({0, 4}));
  test::expect_error(ErrorCode::kInvalidArgument, "expected 0 to 3, got -1", with({-1, 0}));
  test::expect_error(ErrorCode::kInvalidShape, "expected 2, one for each row, got 1", with({0}));
}

}  // namespace
}  // namespace lille::ops
