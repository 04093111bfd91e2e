#include "lille/perplexity.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "model/golden.h"

namespace lille {
namespace {

std::vector<int32_t> validation_ids() {
  const std::string bytes = test::read_file(test::shared_path("checkpoints/validation_ids.u16"));
  std::vector<int32_t> ids;
  for (std::size_t offset = 0; offset + 1 < bytes.size(); offset += 2)
    ids.push_back(load_unaligned<uint16_t>(bytes.data() + offset));
  return ids;
}

// The loss that PyTorch, MLX and a float64 program agree on, within 1e-5 of itself.
void expect_loss(const std::string& name, RopeLayout layout) {
  const nlohmann::json golden =
      nlohmann::json::parse(test::read_file(test::shared_path("checkpoints/expected.json")));
  const std::string layout_name(rope_layout_name(layout));
  Session session(test::load_model(test::shared_path("checkpoints") / name, layout), {.exact = true});
  const PerplexityResult result = perplexity(session, validation_ids());
  const double loss = std::log(golden.at("perplexity").at(name).at(layout_name).get<double>());
  EXPECT_NEAR(result.loss, loss, 1e-5 * loss);
  ASSERT_EQ(result.window_losses.size(), 220u);
  if (!golden.at("loss_of_each_window").at(name).contains(layout_name)) return;
  const auto windows = golden["loss_of_each_window"][name][layout_name].get<std::vector<double>>();
  for (std::size_t idx = 0; idx < windows.size(); ++idx)
    EXPECT_NEAR(result.window_losses[idx], windows[idx], 1e-5 * windows[idx]) << "window " << idx;
}

class ValidationText : public testing::TestWithParam<std::tuple<const char*, RopeLayout>> {};

TEST_P(ValidationText, LossEqualsTheReference) {
  LILLE_NEED_SHARED();
  expect_loss(std::get<0>(GetParam()), std::get<1>(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(All, ValidationText,
                         testing::Values(std::tuple{"lille-tiny", RopeLayout::kInterleaved},
                                         std::tuple{"lille-tiny", RopeLayout::kHalf},
                                         std::tuple{"lille-tiny", RopeLayout::kOriginal},
                                         std::tuple{"lille-tiny-8bit", RopeLayout::kInterleaved},
                                         std::tuple{"lille-tiny-original", RopeLayout::kInterleaved},
                                         std::tuple{"lille-tiny-original", RopeLayout::kHalf},
                                         std::tuple{"lille-tiny-original", RopeLayout::kOriginal}),
                         [](const auto& test) {
                           std::string name = std::get<0>(test.param);
                           std::ranges::replace(name, '-', '_');
                           return name + "_" + std::string(rope_layout_name(std::get<1>(test.param)));
                         });

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
  std::vector<int32_t> ids(65, 1);
  ids[64] = 512;
  test::expect_error(ErrorCode::kInvalidArgument, "expected token ids from 0 to 511, got 512",
                     [&] { perplexity(session_, ids); });
}

}  // namespace
}  // namespace lille
