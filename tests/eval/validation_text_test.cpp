#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "lille/perplexity.h"
#include "model/golden.h"

namespace lille {
namespace {

/// Windows of 512 tokens in the validation text.
constexpr std::size_t kAllWindows = 220;

std::vector<int32_t> validation_ids() {
  const std::string bytes = test::read_file(test::shared_path("checkpoints/validation_ids.u16"));
  std::vector<int32_t> ids;
  for (std::size_t offset = 0; offset + 1 < bytes.size(); offset += 2)
    ids.push_back(load_unaligned<uint16_t>(bytes.data() + offset));
  return ids;
}

// The loss that PyTorch, MLX and a float64 program agree on, within 1e-5 of itself: of each window where the
// reference tells it, and of all together. Where each window is known, the first n_windows are enough.
void expect_loss(const std::string& name, RopeLayout layout, std::size_t n_windows) {
  const nlohmann::json golden =
      nlohmann::json::parse(test::read_file(test::shared_path("checkpoints/expected.json")));
  const std::string layout_name(rope_layout_name(layout));
  Session session(test::load_model(test::shared_path("checkpoints") / name, layout), {.exact = true});
  std::vector<int32_t> ids = validation_ids();
  ids.resize(std::min(ids.size(), 512 * n_windows + 1));
  const PerplexityResult result = perplexity(session, ids);
  ASSERT_EQ(result.window_losses.size(), n_windows);
  if (n_windows == kAllWindows) {
    const double loss = std::log(golden.at("perplexity").at(name).at(layout_name).get<double>());
    EXPECT_NEAR(result.loss, loss, 1e-5 * loss);
  }
  const nlohmann::json& of_each = golden.at("loss_of_each_window").at(name);
  ASSERT_TRUE(n_windows == kAllWindows || of_each.contains(layout_name));
  if (!of_each.contains(layout_name)) return;
  const auto windows = of_each[layout_name].get<std::vector<double>>();
  for (std::size_t idx = 0; idx < n_windows; ++idx)
    EXPECT_NEAR(result.window_losses[idx], windows[idx], 1e-5 * windows[idx]) << "window " << idx;
}

class ValidationText : public testing::TestWithParam<std::tuple<const char*, RopeLayout, std::size_t>> {};

TEST_P(ValidationText, LossEqualsTheReference) {
  LILLE_NEED_SHARED();
  expect_loss(std::get<0>(GetParam()), std::get<1>(GetParam()), std::get<2>(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(
    All, ValidationText,
    // The other layouts of lille-tiny cost a minute each and would tell what those of lille-tiny-original
    // tell.
    testing::Values(std::tuple{"lille-tiny", RopeLayout::kInterleaved, kAllWindows},
                    std::tuple{"lille-tiny-8bit", RopeLayout::kInterleaved, std::size_t{40}},
                    std::tuple{"lille-tiny-original", RopeLayout::kInterleaved, kAllWindows},
                    std::tuple{"lille-tiny-original", RopeLayout::kHalf, kAllWindows},
                    std::tuple{"lille-tiny-original", RopeLayout::kOriginal, std::size_t{40}}),
    [](const auto& test) {
      std::string name = std::get<0>(test.param);
      std::ranges::replace(name, '-', '_');
      return name + "_" + std::string(rope_layout_name(std::get<1>(test.param)));
    });

}  // namespace
}  // namespace lille
