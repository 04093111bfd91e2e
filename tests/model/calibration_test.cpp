#include "model/calibration.h"

#include "kernels/float_kind.h"
#include "model/access.h"
#include "model/golden.h"

namespace lille {
namespace {

std::vector<int32_t> some_ids(int32_t n_ids) {
  std::vector<int32_t> ids;
  for (int32_t idx = 0; idx < n_ids; ++idx) ids.push_back((idx * idx * 3 + idx * 41) % 512);
  return ids;
}

/// Hidden states of one index, all windows one after the other.
class HiddenStates : public Observer {
 public:
  explicit HiddenStates(int64_t wanted) : wanted_(wanted) {}
  void hidden_state(int64_t hidden_idx, std::span<const float> values) override {
    if (hidden_idx == wanted_) states.insert(states.end(), values.begin(), values.end());
  }

  std::vector<float> states;

 private:
  int64_t wanted_;
};

class ToyCalibration : public testing::Test {
 protected:
  std::vector<float> hidden(int64_t hidden_idx) {
    Session session(model_, {.n_threads = 1});
    HiddenStates observer(hidden_idx);
    for (std::size_t begin = 0; begin < ids_.size(); begin += 64) {
      PromptCache cache = make_prompt_cache(model_);
      const BatchItem item = {std::span(ids_).subspan(begin, 64), &cache, LogitsFor::kNone};
      session.forward(std::span(&item, 1), {{}, {}, &observer});
    }
    return observer.states;
  }

  /// Sum of x^T x in float64, for rows of 128.
  static std::vector<double> products(const std::vector<float>& x) {
    std::vector<double> sums(128 * 128);
    for (std::size_t token = 0; token < x.size() / 128; ++token)
      for (std::size_t row = 0; row < 128; ++row)
        for (std::size_t col = 0; col < 128; ++col)
          sums[row * 128 + col] += double{x[token * 128 + row]} * x[token * 128 + col];
    return sums;
  }

  static void expect_products(const std::vector<double>& actual, const std::vector<double>& wanted) {
    ASSERT_EQ(actual.size(), wanted.size());
    double largest = 0;
    for (const double value : wanted) largest = std::max(largest, std::fabs(value));
    // Chains of 64 additions in float32 for each window.
    for (std::size_t idx = 0; idx < wanted.size(); ++idx)
      ASSERT_NEAR(actual[idx], wanted[idx], 64 * 0x1p-24 * largest) << idx;
  }

  const Model model_ = test::load_model(test::source_path("tests/golden/mlx/toy"));
  const std::vector<int32_t> ids_ = some_ids(64 * 5);
};

TEST_F(ToyCalibration, OutputProductsAreThoseOfTheLastNorm) {
  Calibration calibration(model_, ids_, 2, {});
  expect_products(calibration.output_products(), products(hidden(4)));
}

// The input of qkv_proj is the norm of what the blocks before have left, by the formula.
TEST_F(ToyCalibration, BlocksFollowTheModel) {
  Calibration calibration(model_, ids_, 2, {});
  calibration.embed();
  for (int64_t layer_idx = 0; layer_idx < 3; ++layer_idx) {
    std::vector<float> x = hidden(layer_idx);
    const ops::NormWeight norm =
        Access::parts(model_).transformer.layers[static_cast<std::size_t>(layer_idx)].attention.norm;
    for (std::size_t begin = 0; begin < x.size(); begin += 128) {
      double sum = 0;
      for (std::size_t col = 0; col < 128; ++col) sum += double{x[begin + col]} * x[begin + col];
      for (std::size_t col = 0; col < 128; ++col)
        x[begin + col] =
            static_cast<float>(x[begin + col] / std::sqrt(sum / 128 + 1e-5) *
                               kernels::load_float(norm.data, norm.kind, static_cast<int64_t>(col)));
    }
    const auto found = calibration.block_products(layer_idx);
    expect_products(found[0].y_y, products(x));
    for (const InputProducts& input : found)
      for (const double difference : input.d_y) ASSERT_EQ(difference, 0);
    EXPECT_EQ(found[3].y_y.size(), 256u * 256u) << "hidden_dim of 128";
    calibration.advance(layer_idx);
  }
}

// A working copy with other weights has other inputs from the next layer on.
TEST_F(ToyCalibration, TellsTheWorkingCopyApart) {
  Calibration calibration(model_, ids_, 1, {});
  Linear& down_proj = calibration.working().layers[0].feed_forward.down_proj;
  down_proj = calibration.working().layers[1].feed_forward.down_proj;
  calibration.embed();
  const auto first = calibration.block_products(0);
  for (const double difference : first[3].d_y) ASSERT_EQ(difference, 0);
  calibration.advance(0);
  double sum = 0;
  const auto second = calibration.block_products(1);
  for (const double difference : second[0].d_y) sum += std::fabs(difference);
  EXPECT_GT(sum, 1);
}

TEST_F(ToyCalibration, ObeysCancel) {
  std::stop_source source;
  Calibration calibration(model_, ids_, 1, source.get_token());
  calibration.embed();
  source.request_stop();
  test::expect_error(ErrorCode::kCanceled, "canceled", [&] { calibration.block_products(0); });
}

}  // namespace
}  // namespace lille
