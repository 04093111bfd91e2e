#include "eval/format_quality.h"

#include "lille/divergence.h"
#include "lille/perplexity.h"
#include "model/golden.h"

namespace lille {
namespace {

std::vector<int32_t> varied_ids(int32_t n_ids) {
  std::vector<int32_t> ids;
  for (int32_t idx = 0; idx < n_ids; ++idx) ids.push_back((idx * idx * 5 + idx * 37) % 512);
  return ids;
}

TEST(MeasureQuality, IsWhatTheSingleMeasurementsAre) {
  const std::filesystem::path toy = test::source_path("tests/golden/mlx/toy");
  const Model a = test::load_model(toy, RopeLayout::kInterleaved);
  const Model b = test::load_model(toy, RopeLayout::kHalf);
  const std::vector<int32_t> ids = varied_ids(64 * 3 + 1);
  FormatResult result;
  measure_quality(result, a, b, ids, {.n_threads = 1});
  Session session_a(a, {.n_threads = 1});
  Session session_b(b, {.n_threads = 1});
  const PerplexityResult of_b = perplexity(session_b, ids);
  EXPECT_EQ(result.perplexity, of_b.perplexity);
  const Divergence between = divergence(session_a, session_b, ids);
  EXPECT_EQ(result.kl_mean, between.mean);
  EXPECT_EQ(result.kl_p999, between.p999);
  EXPECT_EQ(result.top1_agreement, between.top1_agreement);
  // The spread of three numbers, by the formula.
  const std::vector<double>& w = of_b.window_losses;
  ASSERT_EQ(w.size(), 3u);
  const double mean = (w[0] + w[1] + w[2]) / 3;
  const double variance =
      ((w[0] - mean) * (w[0] - mean) + (w[1] - mean) * (w[1] - mean) + (w[2] - mean) * (w[2] - mean)) / 2;
  EXPECT_NEAR(result.perplexity_error, of_b.perplexity * std::sqrt(variance / 3), 1e-9);
  EXPECT_GT(result.decode_tokens_per_s, 0);
  EXPECT_GT(result.prefill_tokens_per_s, 0);
}

TEST(MeasureQuality, OfTheSourceItselfIsPerfect) {
  const Model toy = test::load_model(test::source_path("tests/golden/mlx/toy"));
  FormatResult result;
  measure_quality(result, toy, toy, varied_ids(65), {.n_threads = 1});
  EXPECT_EQ(result.kl_mean, 0);
  EXPECT_EQ(result.top1_agreement, 1);
  EXPECT_EQ(result.perplexity_error, 0) << "one window has no spread";
}

}  // namespace
}  // namespace lille
