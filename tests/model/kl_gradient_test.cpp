#include "model/kl_gradient.h"

#include <cmath>
#include <map>
#include <random>

#include "model/golden.h"

namespace lille {
namespace {

/// The toy model as the source, and another whose weights are a little different.
class KlGradient : public testing::TestWithParam<RopeLayout> {
 protected:
  KlGradient() {
    for (int32_t idx = 0; idx < 20; ++idx) ids_.push_back((idx * idx * 7 + idx * 37) % 512);
  }

  double kl(ModelMatrices& weights, ModelMatrices& gradients, SessionState& state) {
    PromptCache cache = make_prompt_cache(model_);
    const BatchItem item = {ids_, &cache, LogitsFor::kAll};
    const Logits source = forward_pass(parts_, state, std::span(&item, 1), {});
    return kl_gradient(parts_, state, weights, ids_, source, gradients);
  }

  const Model model_ = test::load_model(test::source_path("tests/golden/mlx/toy"));
  const ModelParts& parts_ = Access::parts(model_);
  std::vector<int32_t> ids_;
};

void add_noise(ModelMatrices& matrices, uint32_t seed, float scale) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  matrices.visit([&](const std::string&, ops::FloatMatrix& matrix) {
    for (float& value : matrix.values) value += normal(random);
  });
}

TEST_P(KlGradient, IsZeroForTheSourceItself) {
  SessionState state(model_, GetParam(), {.exact = true});
  ModelMatrices weights(parts_.transformer);
  ModelMatrices gradients(parts_.transformer);
  EXPECT_NEAR(kl(weights, gradients, state), 0, 1e-6);
  gradients.visit([](const std::string& name, const ops::FloatMatrix& gradient) {
    for (const float value : gradient.values) ASSERT_NEAR(value, 0, 1e-4) << name;
  });
}

TEST_P(KlGradient, IsTheDerivativeByEveryMatrix) {
  SessionState state(model_, GetParam(), {.exact = true});
  ModelMatrices weights(parts_.transformer);
  add_noise(weights, 1, 0.02f);
  ModelMatrices gradients(parts_.transformer);
  ModelMatrices unused(parts_.transformer);
  EXPECT_GT(kl(weights, gradients, state), 0.01);
  std::map<std::string, const ops::FloatMatrix*> gradient_of;
  gradients.visit(
      [&](const std::string& name, const ops::FloatMatrix& gradient) { gradient_of[name] = &gradient; });
  weights.visit([&](const std::string& name, ops::FloatMatrix& matrix) {
    // Along the gradient itself the derivative is its length.
    const ops::FloatMatrix& gradient = *gradient_of.at(name);
    double squares = 0;
    for (const float value : gradient.values) squares += double{value} * value;
    const double length = std::sqrt(squares);
    ASSERT_GT(length, 0) << name;
    const ops::FloatMatrix before = matrix;
    const double step = 0.002;
    const auto at = [&](double way) {
      for (std::size_t idx = 0; idx < matrix.values.size(); ++idx)
        matrix.values[idx] = static_cast<float>(before.values[idx] + way * gradient.values[idx] / length);
      return kl(weights, unused, state);
    };
    const double measured = (at(step) - at(-step)) / (2 * step);
    matrix = before;
    EXPECT_NEAR(measured / length, 1, 0.005) << name;
  });
}

TEST_P(KlGradient, DoesNotDependOnThreads) {
  std::vector<ModelMatrices> gradients(2, ModelMatrices(parts_.transformer));
  ModelMatrices weights(parts_.transformer);
  add_noise(weights, 1, 0.02f);
  for (std::size_t idx = 0; idx < 2; ++idx) {
    SessionState state(model_, GetParam(), {.n_threads = idx == 0 ? 1 : 3, .exact = true});
    kl(weights, gradients[idx], state);
  }
  EXPECT_EQ(gradients[0].tok_embeddings.values, gradients[1].tok_embeddings.values);
  EXPECT_EQ(gradients[0].layers[0].qkv_proj.values, gradients[1].layers[0].qkv_proj.values);
  EXPECT_EQ(gradients[0].layers[1].down_proj.values, gradients[1].layers[1].down_proj.values);
}

INSTANTIATE_TEST_SUITE_P(Layouts, KlGradient,
                         testing::Values(RopeLayout::kInterleaved, RopeLayout::kHalf, RopeLayout::kOriginal));

}  // namespace
}  // namespace lille
