#include "lille/divergence.h"

#include <algorithm>

#include "model/golden.h"

namespace lille {
namespace {

std::vector<int32_t> some_ids(int32_t n_ids) {
  std::vector<int32_t> ids;
  for (int32_t idx = 0; idx < n_ids; ++idx) ids.push_back(idx * 37 % 512);
  return ids;
}

std::vector<double> softmax(std::span<const float> logits) {
  std::vector<double> probabilities;
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit});
  for (const float logit : logits) probabilities.push_back(std::exp(double{logit}) / sum);
  return probabilities;
}

class ToyDivergence : public testing::Test {
 protected:
  static Session session(RopeLayout layout) {
    return Session(test::load_model(test::source_path("tests/golden/mlx/toy"), layout), {1, ""});
  }

  Session a_ = session(RopeLayout::kInterleaved);
  Session b_ = session(RopeLayout::kHalf);
};

TEST_F(ToyDivergence, OfAModelFromItselfIsZero) {
  Session same = session(RopeLayout::kInterleaved);
  const Divergence result = divergence(a_, same, some_ids(100));
  EXPECT_EQ(result.mean, 0);
  EXPECT_EQ(result.max, 0);
  EXPECT_EQ(result.top1_agreement, 1);
  EXPECT_EQ(result.n_predictions, 100);
  EXPECT_EQ(result.n_windows, 2) << "block_size is 64";
}

TEST_F(ToyDivergence, IsTheSumOverThePlainProbabilities) {
  const std::vector<int32_t> ids = some_ids(64 + 30);
  double sum = 0;
  double max = 0;
  int64_t max_at = 0;
  int64_t n_agree = 0;
  for (const auto& [begin, n] : {std::pair<std::size_t, std::size_t>{0, 64}, {64, 30}}) {
    const auto window = std::span(ids).subspan(begin, n);
    const std::vector<float> logits_a = test::all_logits(a_, window);
    const std::vector<float> logits_b = test::all_logits(b_, window);
    for (std::size_t row = 0; row < n; ++row) {
      const std::vector<double> p = softmax(std::span(logits_a).subspan(row * 512, 512));
      const std::vector<double> q = softmax(std::span(logits_b).subspan(row * 512, 512));
      double kl = 0;
      for (std::size_t id = 0; id < p.size(); ++id) kl += p[id] * std::log(p[id] / q[id]);
      sum += kl;
      if (kl > max) {
        max = kl;
        max_at = static_cast<int64_t>(begin + row);
      }
      if (std::ranges::max_element(p) - p.begin() == std::ranges::max_element(q) - q.begin()) ++n_agree;
    }
  }
  ASSERT_GT(sum / 94, 1e-4) << "the layouts would make no difference here";
  const Divergence result = divergence(a_, b_, ids);
  // Sums of 512 terms below 1 in float64.
  EXPECT_NEAR(result.mean, sum / 94, 1e-12);
  EXPECT_NEAR(result.max, max, 1e-12);
  EXPECT_EQ(result.max_at, max_at);
  EXPECT_DOUBLE_EQ(result.top1_agreement, static_cast<double>(n_agree) / 94);
  EXPECT_EQ(result.n_windows, 2);
}

// Of 2,000 predictions two may be above the 99.9th percentile.
TEST_F(ToyDivergence, PercentileLeavesOutTheLargest) {
  const std::vector<int32_t> ids = some_ids(2000);
  std::vector<double> all;
  for (std::size_t begin = 0; begin < ids.size(); begin += 64) {
    const auto window = std::span(ids).subspan(begin, std::min<std::size_t>(64, ids.size() - begin));
    const std::vector<float> logits_a = test::all_logits(a_, window);
    const std::vector<float> logits_b = test::all_logits(b_, window);
    for (std::size_t row = 0; row < window.size(); ++row) {
      const std::vector<double> p = softmax(std::span(logits_a).subspan(row * 512, 512));
      const std::vector<double> q = softmax(std::span(logits_b).subspan(row * 512, 512));
      double kl = 0;
      for (std::size_t id = 0; id < p.size(); ++id) kl += p[id] * std::log(p[id] / q[id]);
      all.push_back(kl);
    }
  }
  std::ranges::sort(all);
  const Divergence result = divergence(a_, b_, ids);
  EXPECT_NEAR(result.p999, all[1997], 1e-12);
  EXPECT_NEAR(result.max, all[1999], 1e-12);
}

TEST_F(ToyDivergence, IsNotSymmetric) {
  const std::vector<int32_t> ids = some_ids(64);
  EXPECT_NE(divergence(a_, b_, ids).mean, divergence(b_, a_, ids).mean);
}

TEST_F(ToyDivergence, TellsProgressAndObeysCancel) {
  std::stop_source source;
  std::vector<int64_t> calls;
  DivergenceOptions options;
  options.cancel = source.get_token();
  options.on_progress = [&](int64_t n_done, int64_t n_tokens) {
    EXPECT_EQ(n_tokens, 150);
    calls.push_back(n_done);
    if (n_done == 128) source.request_stop();
  };
  test::expect_error(ErrorCode::kCanceled, "canceled", [&] { divergence(a_, b_, some_ids(150), options); });
  EXPECT_EQ(calls, (std::vector<int64_t>{64, 128}));
}

TEST_F(ToyDivergence, BadInput) {
  test::expect_error(ErrorCode::kInvalidArgument, "expected at least one token, got none",
                     [&] { divergence(a_, b_, {}); });
  test::expect_error(ErrorCode::kInvalidArgument, "expected token ids from 0 to 511, got 512", [&] {
    divergence(a_, b_, std::vector<int32_t>{1, 512});
  });
  Session tiny(test::load_model(test::source_path("models/lille-tiny-8bit")), {1, ""});
  test::expect_error(ErrorCode::kInvalidArgument,
                     "expected models of one vocabulary, got 512 and 32768 tokens",
                     [&] { divergence(a_, tiny, std::vector<int32_t>{1}); });
}

// What rounding activations to 8 bits adds, on a trained checkpoint with 8-bit weights.
TEST(Divergence, ActivationsOf8BitsChangePredictionsLittle) {
  LILLE_NEED_SHARED();
  const Model model = test::load_model(test::source_path("models/lille-tiny-8bit"));
  const std::string text = test::read_file(test::shared_path("checkpoints/validation_ids.u16"));
  std::vector<int32_t> ids;
  for (std::size_t idx = 0; idx < 2 * 512 * 4; idx += 2)
    ids.push_back(static_cast<uint8_t>(text[idx]) + 256 * static_cast<uint8_t>(text[idx + 1]));
  Session exact(model, {.exact = true});
  Session rounded(model);
  EXPECT_EQ(rounded.kernels(), std::string(exact.kernels()) + " q8");
  const Divergence result = divergence(exact, rounded, ids);
  RecordProperty("mean", std::to_string(result.mean));
  EXPECT_EQ(result.n_predictions, 2048);
  EXPECT_LT(result.mean, 3e-4);
  EXPECT_GT(result.mean, 0);
}

}  // namespace
}  // namespace lille
