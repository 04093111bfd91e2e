#include "quantize/output_matching.h"

#include "quantize/quantize_cases.h"

namespace lille {
namespace {

// y = x * A for an invertible A: then W * (A^-1)^T gives the same outputs, and for diag(2, 4) that is half
// and a quarter of each weight.
TEST(MatchOutputs, UndoesAChangeOfTheInputs) {
  ThreadPool pool(2);
  // x are the rows of the unit matrix, y = x * diag(2, 4): (x - y)^T y = diag((1 - 2) * 2, (1 - 4) * 4).
  const GptqHessian hessian({4, 0, 0, 16}, 0, pool);
  const std::vector<double> d_y = {-2, 0, 0, -12};
  const std::vector<float> weights = {1, 1, 6, -8};
  const std::vector<float> matched = match_outputs(test::f32_matrix(weights, 2), d_y, hessian, pool);
  const std::vector<float> expected = {0.5f, 0.25f, 3, -2};
  for (std::size_t idx = 0; idx < expected.size(); ++idx)
    EXPECT_NEAR(matched[idx], expected[idx], 1e-6) << idx;
}

TEST(MatchOutputs, KeepsWeightsWhereInputsAreTheSame) {
  ThreadPool pool(1);
  const GptqHessian hessian({4, 1, 1, 16}, 0.01, pool);
  const std::vector<float> weights = {1, 1, 6, -8};
  EXPECT_EQ(match_outputs(test::f32_matrix(weights, 2), std::vector<double>(4), hessian, pool), weights);
}

TEST(MatchOutputs, RefusesOtherShapes) {
  ThreadPool pool(1);
  const GptqHessian hessian({1, 0, 0, 1}, 0.01, pool);
  const std::vector<float> weights(8);
  test::expect_error(ErrorCode::kInvalidShape, "expected (4, 4) products, got (2, 2) and 16", [&] {
    match_outputs(test::f32_matrix(weights, 4), std::vector<double>(16), hessian, pool);
  });
  test::expect_error(ErrorCode::kInvalidShape, "expected (2, 2) products, got (2, 2) and 3", [&] {
    match_outputs(test::f32_matrix(weights, 2), std::vector<double>(3), hessian, pool);
  });
}

}  // namespace
}  // namespace lille
