#include "lille/mixed_plan.h"

#include "lille/divergence.h"
#include "model/golden.h"

namespace lille {
namespace {

class ToyPlan : public testing::Test {
 protected:
  ToyPlan() {
    for (int32_t idx = 0; idx < 64 * 12; ++idx) ids_.push_back((idx * idx * 7 + idx * 37) % 512);
    options_.method = QuantizationMethod::kGptq;
    options_.setting = {.group_size = 32, .bits = 4};
    options_.calibration = ids_;
    options_.n_threads = 2;
  }

  FolderExportReport quantize(const QuantizationArgs& setting, const std::string& name) {
    QuantizeOptions options = options_;
    options.setting = setting;
    return quantize_model(model_, folder_.path() / name, options);
  }

  const test::TemporaryFolder folder_;
  const Model model_ = test::load_model(test::source_path("tests/golden/mlx/toy"));
  std::vector<int32_t> ids_;
  QuantizeOptions options_;
};

TEST_F(ToyPlan, FillsTheBitsThatAreGiven) {
  std::vector<std::string> steps;
  for (const double target : {4.3, 5.5, 8.9}) {
    const QuantizationArgs setting = plan_mixed(model_, {.bits_per_weight = target}, options_,
                                                [&](std::string_view step, int64_t n_done, int64_t n_total) {
                                                  EXPECT_LE(n_done, n_total);
                                                  steps.emplace_back(step);
                                                });
    const FolderExportReport report = quantize(setting, fmt::format("{}", target));
    EXPECT_LE(report.bits_per_weight, target);
    // One bit of the smallest matrix, which is 128 * 128 of 558,000, would not fit any more.
    EXPECT_GT(report.bits_per_weight, target - 0.15) << target;
  }
  EXPECT_EQ(steps.front(), "sensitivity");
  EXPECT_EQ(steps.size(), 3u * 16);
}

TEST_F(ToyPlan, KeepsTheDivergenceThatIsGiven) {
  const double max_kl = 0.05;
  const QuantizationArgs setting = plan_mixed(model_, {.max_kl = max_kl}, options_);
  // As the trial was: without its windows.
  QuantizeOptions options = options_;
  options.setting = setting;
  options.calibration = std::span(ids_).first(64 * 8);
  const FolderExportReport report = quantize_model(model_, folder_.path() / "kl", options);
  Session source(model_, {.exact = true});
  Session quantised(test::load_model(folder_.path() / "kl"), {.exact = true});
  const double kl = divergence(source, quantised, std::span(ids_).subspan(64 * 8)).mean;
  EXPECT_LE(kl, max_kl);
  EXPECT_GT(kl, 0.2 * max_kl) << "bits were wasted";
  EXPECT_LT(report.bits_per_weight, 9);
}

TEST_F(ToyPlan, RefusesTargetsThatCannotBeReached) {
  const ErrorCode code = ErrorCode::kInvalidArgument;
  const auto plan = [this](MixedPlanTarget target) {
    return [=, this] { plan_mixed(model_, target, options_); };
  };
  const MixedPlanProgress never = [](std::string_view step, int64_t, int64_t) { ADD_FAILURE() << step; };
  test::expect_error(code, "expected room for 2 bits of every weight",
                     [&] { plan_mixed(model_, {.bits_per_weight = 2.5}, options_, never); });
  test::expect_error(code, "expected a divergence that 8 bits of every weight reach, got 1e-12",
                     plan({.max_kl = 1e-12}));
  test::expect_error(code, "one of them, got none", plan({}));
  test::expect_error(code, "one of them, got both", plan({4, 0.1}));
  test::expect_error(code, "expected a positive number, got -1", plan({.max_kl = -1}));
  options_.calibration = std::span(ids_).first(64 * 7);
  test::expect_error(code, "expected at least 512 tokens (8 windows of block_size) for a plan, got 448",
                     plan({.bits_per_weight = 5}));
}

}  // namespace
}  // namespace lille
