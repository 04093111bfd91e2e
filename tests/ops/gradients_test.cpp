#include "ops/gradients.h"

#include <functional>

#include "ops/ops_cases.h"
#include "ops/swiglu.h"

namespace lille::ops {
namespace {

using Floats = std::vector<float>;

double dot(const Floats& a, const Floats& b) {
  double sum = 0;
  for (std::size_t idx = 0; idx < a.size(); ++idx) sum += double{a[idx]} * b[idx];
  return sum;
}

/// Expects that the derivative of slopes * y(x) in some directions is what its gradient says.
void expect_gradient(const std::function<Floats(Floats x)>& y, const Floats& x, const Floats& slopes,
                     const Floats& gradient, const std::string& what) {
  ASSERT_EQ(gradient.size(), x.size()) << what;
  constexpr float kStep = 1.0f / 128;
  for (uint32_t seed = 100; seed < 104; ++seed) {
    const Floats direction = random_floats(x.size(), seed);
    Floats ahead = x, behind = x;
    for (std::size_t idx = 0; idx < x.size(); ++idx) {
      ahead[idx] += kStep * direction[idx];
      behind[idx] -= kStep * direction[idx];
    }
    const double measured = (dot(slopes, y(ahead)) - dot(slopes, y(behind))) / (2 * kStep);
    const double size = std::sqrt(dot(gradient, gradient) * dot(direction, direction));
    EXPECT_GT(size, 0) << what;
    EXPECT_NEAR(dot(gradient, direction), measured, 1e-3 * size) << what << ", direction " << seed;
  }
}

TEST(RmsNormGradient, IsTheDerivative) {
  OwnDevice own(best_table());
  Floats weight = random_floats(24, 1);
  const NormWeight norm = {weight.data(), kernels::FloatKind::kF32, 24};
  Floats x = random_floats(7 * 24, 2);
  Floats slopes = random_floats(x.size(), 3);
  Floats gradient(x.size());
  rms_norm_gradient(own.device, rows_of(gradient, 7, 24), rows_of(slopes, 7, 24), rows_of(x, 7, 24), norm,
                    1e-2f);
  const auto y = [&](Floats at) {
    Floats out(at.size());
    rms_norm(own.device, rows_of(out, 7, 24), rows_of(at, 7, 24), norm, 1e-2f);
    return out;
  };
  expect_gradient(y, x, slopes, gradient, "rms_norm");
  // It adds to what is there.
  Floats twice = gradient;
  rms_norm_gradient(own.device, rows_of(twice, 7, 24), rows_of(slopes, 7, 24), rows_of(x, 7, 24), norm,
                    1e-2f);
  EXPECT_FLOAT_EQ(twice[5], 2 * gradient[5]);
}

TEST(SwigluGradient, IsTheDerivative) {
  OwnDevice own(best_table());
  Floats gate = random_floats(5 * 16, 1);
  Floats up = random_floats(gate.size(), 2);
  const Floats slopes = random_floats(gate.size(), 3);
  Floats d_gate = slopes;
  Floats d_up(gate.size());
  swiglu_gradient(own.device, rows_of(d_gate, 5, 16), rows_of(d_up, 5, 16), rows_of(d_gate, 5, 16),
                  rows_of(gate, 5, 16), rows_of(up, 5, 16));
  const auto y = [&](Floats& of_gate, Floats& of_up) {
    Floats out(gate.size());
    swiglu(own.device, rows_of(out, 5, 16), rows_of(of_gate, 5, 16), rows_of(of_up, 5, 16));
    return out;
  };
  expect_gradient([&](Floats at) { return y(at, up); }, gate, slopes, d_gate, "gate");
  expect_gradient([&](Floats at) { return y(gate, at); }, up, slopes, d_up, "up");
}

TEST(RopeGradient, IsTheDerivativeInEveryLayout) {
  OwnDevice own(best_table());
  const RopeTable table(16, 8, 10000.0);
  const std::vector<int64_t> positions = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  for (const RopeLayout layout : {RopeLayout::kInterleaved, RopeLayout::kHalf, RopeLayout::kOriginal}) {
    Floats x = random_floats(9 * 16, 2);
    const Floats slopes = random_floats(x.size(), 3);
    Floats gradient = slopes;
    rope_gradient(own.device, rows_of(gradient, 9, 16), table, layout);
    const auto y = [&](Floats at) {
      rope(own.device, rows_of(at, 9, 16), table, layout, positions);
      return at;
    };
    expect_gradient(y, x, slopes, gradient, std::to_string(static_cast<int>(layout)));
  }
}

TEST(CausalSoftmax, AddsUpToOneAndItsGradientIsTheDerivative) {
  OwnDevice own(best_table());
  constexpr float kScale = 0.7f;
  const Floats scores = random_floats(11 * 11, 1);
  const auto y = [&](Floats at) {
    causal_softmax(own.device, rows_of(at, 11, 11), kScale);
    return at;
  };
  Floats weights = y(scores);
  for (int64_t row = 0; row < 11; ++row) {
    double sum = 0;
    for (int64_t col = 0; col < 11; ++col) {
      const float weight = weights[static_cast<std::size_t>(row * 11 + col)];
      sum += weight;
      EXPECT_TRUE(col <= row || weight == 0) << row << ", " << col;
    }
    EXPECT_NEAR(sum, 1, 1e-6);
  }
  EXPECT_NEAR(std::log(weights[11] / weights[12]), kScale * (scores[11] - scores[12]), 1e-5);
  const Floats slopes = random_floats(scores.size(), 3);
  Floats gradient = slopes;
  causal_softmax_gradient(own.device, rows_of(gradient, 11, 11), rows_of(weights, 11, 11), kScale);
  expect_gradient(y, scores, slopes, gradient, "causal_softmax");
}

TEST(Gradients, CheckShapes) {
  OwnDevice own(best_table());
  Floats values(64);
  const Rows narrow = rows_of(values, 8, 4);
  const Rows wide = rows_of(values, 8, 8);
  const auto code = ErrorCode::kInvalidShape;
  test::expect_error(code, "[rms_norm_gradient] d_y: expected (8, 8), got (8, 4)", [&] {
    rms_norm_gradient(own.device, wide, narrow, wide, {values.data(), kernels::FloatKind::kF32, 8}, 0);
  });
  test::expect_error(code, "[swiglu_gradient]",
                     [&] { swiglu_gradient(own.device, wide, wide, narrow, wide, wide); });
  test::expect_error(code, "[rope_gradient]",
                     [&] { rope_gradient(own.device, wide, RopeTable(4, 8, 10000.0), RopeLayout::kHalf); });
  test::expect_error(code, "[causal_softmax]", [&] { causal_softmax(own.device, narrow, 1); });
  test::expect_error(code, "[causal_softmax_gradient]",
                     [&] { causal_softmax_gradient(own.device, narrow, wide, 1); });
}

}  // namespace
}  // namespace lille::ops
