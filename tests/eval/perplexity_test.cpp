#include "lille/perplexity.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "model/golden.h"

namespace lille {
namespace {

class Toy : public testing::Test {
 protected:
  Session session_{test::load_model(test::source_path("tests/golden/mlx/toy")), {1, ""}};
};

TEST_F(Toy, EqualsTheLogitsOfEachWindow) {
  std::vector<int32_t> ids;
  for (int32_t idx = 0; idx < 2 * 64 + 30; ++idx) ids.push_back(idx * 37 % 512);
  const PerplexityResult result = perplexity(session_, ids);
  ASSERT_EQ(result.window_losses.size(), 2u) << "what does not fill a window is dropped";
  for (std::size_t window_idx = 0; window_idx < 2; ++window_idx) {
    const std::vector<float> logits = test::all_logits(session_, std::span(ids).subspan(window_idx * 64, 64));
    double sum = 0;
    for (std::size_t idx = 0; idx < 64; ++idx) {
      const auto row = std::span(logits).subspan(idx * 512, 512);
      double total = 0;
      for (const float logit : row) total += std::exp(double{logit});
      sum += std::log(total) - double{row[static_cast<std::size_t>(ids[window_idx * 64 + idx + 1])]};
    }
    EXPECT_NEAR(result.window_losses[window_idx], sum / 64, 1e-6);
  }
  EXPECT_NEAR(result.loss, (result.window_losses[0] + result.window_losses[1]) / 2, 1e-12);
  EXPECT_NEAR(result.perplexity, std::exp(result.loss), 1e-9);
}

// -log p of each target in float64 from the logits of one pass over `inputs`.
std::vector<double> losses_of_logits(Session& session, std::span<const int32_t> inputs,
                                     std::span<const int32_t> targets) {
  const std::vector<float> logits = test::all_logits(session, inputs);
  std::vector<double> losses;
  for (std::size_t idx = 0; idx < targets.size(); ++idx) {
    const auto row = std::span(logits).subspan(idx * 512, 512);
    double total = 0;
    for (const float logit : row) total += std::exp(double{logit});
    losses.push_back(std::log(total) - double{row[static_cast<std::size_t>(targets[idx])]});
  }
  return losses;
}

TEST_F(Toy, OverlappingWindowsCountEachTokenOnce) {
  std::vector<int32_t> ids;
  for (int32_t idx = 0; idx < 1 + 32 + 3 * 10 + 9; ++idx) ids.push_back(idx * 37 % 512);
  PerplexityOptions options;
  options.window = 32;
  options.stride = 10;
  const PerplexityResult result = perplexity(session_, ids, options);
  EXPECT_EQ(result.window, 32);
  EXPECT_EQ(result.stride, 10);
  EXPECT_EQ(result.first_predicted, 1);
  ASSERT_EQ(result.window_losses.size(), 4u);
  ASSERT_EQ(result.token_losses.size(), 62u) << "nine do not fill a window";
  ASSERT_EQ(result.positions.size(), 62u);
  for (std::size_t window_idx = 0; window_idx < 4; ++window_idx) {
    const std::vector<double> losses = losses_of_logits(session_, std::span(ids).subspan(10 * window_idx, 32),
                                                        std::span(ids).subspan(10 * window_idx + 1, 32));
    double sum = 0;
    for (std::size_t pos = window_idx == 0 ? 0 : 22; pos < 32; ++pos) {
      const std::size_t token_idx = 10 * window_idx + pos;
      EXPECT_NEAR(result.token_losses[token_idx], losses[pos], 1e-6);
      EXPECT_EQ(result.positions[token_idx], static_cast<int64_t>(pos));
      sum += losses[pos];
    }
    EXPECT_NEAR(result.window_losses[window_idx], sum / (window_idx == 0 ? 32 : 10), 1e-6);
  }
}

TEST_F(Toy, EachWindowMayBeginWithAToken) {
  std::vector<int32_t> ids;
  for (int32_t idx = 0; idx < 2 * 64 + 3; ++idx) ids.push_back(idx * 37 % 512);
  PerplexityOptions options;
  options.bos = 511;
  const PerplexityResult result = perplexity(session_, ids, options);
  EXPECT_EQ(result.first_predicted, 0);
  ASSERT_EQ(result.token_losses.size(), 128u) << "the first token of the text is predicted too";
  for (std::size_t window_idx = 0; window_idx < 2; ++window_idx) {
    std::vector<int32_t> inputs(ids.begin() + 64 * static_cast<std::ptrdiff_t>(window_idx),
                                ids.begin() + 64 * static_cast<std::ptrdiff_t>(window_idx) + 63);
    inputs.insert(inputs.begin(), 511);
    const std::vector<double> losses =
        losses_of_logits(session_, inputs, std::span(ids).subspan(64 * window_idx, 64));
    for (std::size_t pos = 0; pos < 64; ++pos)
      EXPECT_NEAR(result.token_losses[64 * window_idx + pos], losses[pos], 1e-6);
  }
}

// Python's statistics.stdev(values) / sqrt(len(values)).
double error_of(const std::vector<double>& values) {
  double mean = 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  double squares = 0;
  for (const double value : values) squares += std::pow(value - mean, 2);
  return std::sqrt(squares / static_cast<double>(values.size() - 1)) /
         std::sqrt(static_cast<double>(values.size()));
}

TEST_F(Toy, ErrorsAreThoseOfTheMean) {
  std::vector<int32_t> ids;
  for (int32_t idx = 0; idx < 3 * 16 + 1; ++idx) ids.push_back(idx * 37 % 512);
  PerplexityOptions options;
  options.window = 16;
  const PerplexityResult result = perplexity(session_, ids, options);
  EXPECT_NEAR(result.loss_error, error_of(result.token_losses), 1e-12);
  EXPECT_NEAR(result.window_error, error_of(result.window_losses), 1e-12);
  ids.resize(17);
  EXPECT_TRUE(std::isnan(perplexity(session_, ids, options).window_error)) << "one window has no spread";
}

TEST_F(Toy, LossByPositionIsInRangesThatDouble) {
  std::vector<int32_t> ids;
  for (int32_t idx = 0; idx < 2 * 40 + 1; ++idx) ids.push_back(idx * 37 % 512);
  PerplexityOptions options;
  options.window = 40;
  const PerplexityResult result = perplexity(session_, ids, options);
  const std::vector<PerplexityPositions> ranges = loss_by_position(result);
  const std::vector<std::pair<int64_t, int64_t>> wanted = {{0, 1},  {1, 2},   {2, 4},  {4, 8},
                                                           {8, 16}, {16, 32}, {32, 40}};
  ASSERT_EQ(ranges.size(), wanted.size());
  for (std::size_t idx = 0; idx < wanted.size(); ++idx) {
    const auto [begin, end] = wanted[idx];
    EXPECT_EQ(ranges[idx].begin, begin);
    EXPECT_EQ(ranges[idx].end, end);
    EXPECT_EQ(ranges[idx].n_tokens, 2 * (end - begin));
    double sum = 0;
    for (int64_t pos = begin; pos < end; ++pos)
      sum += result.token_losses[static_cast<std::size_t>(pos)] +
             result.token_losses[static_cast<std::size_t>(pos) + 40];
    EXPECT_NEAR(ranges[idx].loss, sum / static_cast<double>(2 * (end - begin)), 1e-12);
  }
  options.stride = 8;
  ids.resize(81);
  PerplexityResult late = perplexity(session_, ids, options);
  late.positions.erase(late.positions.begin(), late.positions.begin() + 40);
  late.token_losses.erase(late.token_losses.begin(), late.token_losses.begin() + 40);
  const std::vector<PerplexityPositions> last = loss_by_position(late);
  ASSERT_EQ(last.size(), 1u) << "ranges in which nothing was predicted are left out";
  EXPECT_EQ(last[0].begin, 32);
}

TEST_F(Toy, ReportsProgressAndObeysCancel) {
  const std::vector<int32_t> ids(3 * 64 + 1, 7);
  std::vector<int64_t> calls;
  std::stop_source source;
  PerplexityOptions options;
  options.cancel = source.get_token();
  options.on_progress = [&](int64_t n_done, int64_t n_windows) {
    EXPECT_EQ(n_windows, 3);
    calls.push_back(n_done);
    if (n_done == 2) source.request_stop();
  };
  test::expect_error(ErrorCode::kCanceled, "canceled", [&] { perplexity(session_, ids, options); });
  EXPECT_EQ(calls, (std::vector<int64_t>{1, 2}));
}

TEST_F(Toy, BadIds) {
  test::expect_error(ErrorCode::kInvalidArgument, "expected at least 65 tokens",
                     [&] { perplexity(session_, std::vector<int32_t>(64, 1)); });
  const auto refused = [&](int64_t window, int64_t stride, std::size_t n_ids, std::string_view part) {
    PerplexityOptions options;
    options.window = window;
    options.stride = stride;
    test::expect_error(ErrorCode::kInvalidArgument, part,
                       [&] { perplexity(session_, std::vector<int32_t>(n_ids, 1), options); });
  };
  refused(65, 0, 100, "window: expected a number from 1 to 64, got 65");
  refused(-1, 0, 100, "window: expected a number from 1 to 64, got -1");
  refused(32, 33, 100, "stride: expected a number from 1 to 32, got 33");
  refused(32, -1, 100, "stride: expected a number from 1 to 32, got -1");
  refused(8, 8, 8, "expected at least 9 tokens (one window of 8 and the token after it), got 8");
  PerplexityOptions with_bos;
  with_bos.bos = 512;
  test::expect_error(ErrorCode::kInvalidArgument, "expected token ids from 0 to 511, got 512",
                     [&] { perplexity(session_, std::vector<int32_t>(64, 1), with_bos); });
  with_bos.bos = 511;
  test::expect_error(ErrorCode::kInvalidArgument,
                     "expected at least 64 tokens (one window of block_size), got 63",
                     [&] { perplexity(session_, std::vector<int32_t>(63, 1), with_bos); });
  std::vector<int32_t> ids(65, 1);
  ids[64] = 512;
  test::expect_error(ErrorCode::kInvalidArgument, "expected token ids from 0 to 511, got 512",
                     [&] { perplexity(session_, ids); });
}

}  // namespace
}  // namespace lille
