#include "model/tuner.h"

#include <cmath>

#include "model/golden.h"
#include "model/quantizer.h"
#include "model/variant.h"

namespace lille {
namespace {

class TuneToy : public testing::Test {
 protected:
  TuneToy() {
    for (int32_t idx = 0; idx < 64 * 16; ++idx) ids_.push_back((idx * idx * 7 + idx * 37) % 512);
    folder_.quantization = QuantizationArgs{.group_size = 64, .bits = 3};
    plans_ = plan_codes(model_.path(), folder_);
    options_.calibration = ids_;
  }

  /// Mean divergence of the model in codes from the source on one window, by its definition.
  double kl_of(const CodesByName& codes) {
    Session source(model_, {.exact = true});
    Session other(with_codes(model_, plans_, codes), {.exact = true});
    const auto window = std::span(ids_).first(64);
    const std::vector<float> a = test::all_logits(source, window);
    const std::vector<float> b = test::all_logits(other, window);
    double sum = 0;
    for (std::size_t begin = 0; begin < a.size(); begin += 512) {
      double sum_a = 0, sum_b = 0, difference = 0;
      for (std::size_t idx = begin; idx < begin + 512; ++idx) {
        sum_a += std::exp(double{a[idx]});
        sum_b += std::exp(double{b[idx]});
      }
      for (std::size_t idx = begin; idx < begin + 512; ++idx)
        difference += std::exp(double{a[idx]}) / sum_a * (double{a[idx]} - b[idx]);
      sum += difference - std::log(sum_a) + std::log(sum_b);
    }
    return sum / 64;
  }

  CodesByName tuned(int64_t n_threads) {
    options_.n_threads = n_threads;
    return make_codes(model_, options_, plans_);
  }

  const Model model_ = test::load_model(test::source_path("tests/golden/mlx/toy"));
  std::vector<int32_t> ids_;
  FolderExportOptions folder_ = {.form = FolderForm::kMlx};
  std::vector<CodesPlan> plans_;
  QuantizeOptions options_ = {.method = QuantizationMethod::kGptq};
};

TEST_F(TuneToy, BringsPredictionsNearer) {
  const double before = kl_of(make_codes(model_, options_, plans_));
  options_.tune_epochs = 6;
  std::vector<int64_t> calls;
  options_.on_tune = [&calls](int64_t n_done, int64_t n_windows) {
    EXPECT_EQ(n_windows, 96);
    calls.push_back(n_done);
  };
  EXPECT_LT(kl_of(tuned(0)), 0.8 * before);
  EXPECT_EQ(calls.size(), 96u);
  EXPECT_EQ(calls.back(), 96);
}

TEST_F(TuneToy, DoesNotDependOnThreads) {
  options_.calibration = std::span(ids_).first(64 * 4);
  options_.tune_epochs = 1;
  const CodesByName one = tuned(1);
  const CodesByName three = tuned(3);
  for (const auto& [name, matrix] : one) {
    EXPECT_EQ(matrix.codes, three.at(name).codes) << name;
    EXPECT_EQ(matrix.scales, three.at(name).scales) << name;
    EXPECT_EQ(matrix.biases, three.at(name).biases) << name;
  }
}

TEST_F(TuneToy, LeavesMatricesWithoutCodesAlone) {
  folder_.quantization->layers["transformer.tok_embeddings"] = std::nullopt;
  plans_ = plan_codes(model_.path(), folder_);
  options_.calibration = std::span(ids_).first(64 * 4);
  options_.tune_epochs = 1;
  EXPECT_FALSE(tuned(0).contains("transformer.tok_embeddings"));
}

TEST_F(TuneToy, ObeysCancel) {
  CodesByName codes = make_codes(model_, options_, plans_);
  std::stop_source source;
  source.request_stop();
  options_.cancel = source.get_token();
  options_.tune_epochs = 1;
  test::expect_error(ErrorCode::kCanceled, "canceled", [&] { tune_codes(model_, options_, plans_, codes); });
}

}  // namespace
}  // namespace lille
