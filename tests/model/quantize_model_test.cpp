#include <algorithm>

#include "io/safetensors.h"
#include "lille/quantize.h"
#include "model/golden.h"
#include "model/quantizer.h"

namespace lille {
namespace {

std::filesystem::path toy() { return test::source_path("tests/golden/mlx/toy"); }

std::vector<int32_t> some_ids(int32_t n_ids) {
  std::vector<int32_t> ids;
  for (int32_t idx = 0; idx < n_ids; ++idx) ids.push_back((idx * idx * 7 + idx * 37) % 512);
  return ids;
}

/// Mean squared difference of all logits of two models on a window.
double logit_error(const Model& a, const Model& b, std::span<const int32_t> window) {
  Session session_a(a, {.exact = true});
  Session session_b(b, {.exact = true});
  const std::vector<float> logits_a = test::all_logits(session_a, window);
  const std::vector<float> logits_b = test::all_logits(session_b, window);
  double sum = 0;
  for (std::size_t idx = 0; idx < logits_a.size(); ++idx)
    sum += (double{logits_a[idx]} - logits_b[idx]) * (double{logits_a[idx]} - logits_b[idx]);
  return sum / static_cast<double>(logits_a.size());
}

class QuantizeToy : public testing::Test {
 protected:
  QuantizeOptions options(QuantizationMethod method, int64_t bits) const {
    QuantizeOptions options = {.method = method};
    options.setting = {.group_size = 32, .bits = bits};
    options.calibration = ids_;
    return options;
  }

  double error_of(QuantizationMethod method, int64_t bits) {
    const std::filesystem::path target =
        folder_.path() / fmt::format("{}-{}", quantization_method_name(method), bits);
    quantize_model(model_, target, options(method, bits));
    return logit_error(model_, test::load_model(target), std::span(ids_).first(64));
  }

  const test::TemporaryFolder folder_;
  const Model model_ = test::load_model(toy());
  const std::vector<int32_t> ids_ = some_ids(64 * 24 + 5);
};

TEST(QuantizationMethod, NamesAreTheirInverse) {
  for (const auto method :
       {QuantizationMethod::kRtn, QuantizationMethod::kWeighted, QuantizationMethod::kGptq})
    EXPECT_EQ(quantization_method_from_name(quantization_method_name(method)), method);
  EXPECT_FALSE(quantization_method_from_name("awq"));
}

TEST_F(QuantizeToy, BetterMethodsChangePredictionsLess) {
  for (const int64_t bits : {3, 4}) {
    const double nearest = error_of(QuantizationMethod::kRtn, bits);
    EXPECT_LT(error_of(QuantizationMethod::kWeighted, bits), nearest) << bits;
    EXPECT_LT(error_of(QuantizationMethod::kGptq, bits), 0.8 * nearest) << bits;
  }
}

TEST_F(QuantizeToy, RoundsToNearestAsExportFolderDoes) {
  quantize_model(model_, folder_.path() / "a", options(QuantizationMethod::kRtn, 4));
  FolderExportOptions plain = {.form = FolderForm::kMlx};
  plain.quantization = QuantizationArgs{.group_size = 32, .bits = 4};
  export_folder(toy(), folder_.path() / "b", plain);
  const std::string weights = "model.safetensors";
  EXPECT_EQ(test::read_file(folder_.path() / "a" / weights), test::read_file(folder_.path() / "b" / weights));
}

TEST_F(QuantizeToy, DoesNotDependOnThreads) {
  QuantizeOptions of_three = options(QuantizationMethod::kGptq, 3);
  QuantizeOptions of_one = of_three;
  of_three.n_threads = 3;
  of_one.n_threads = 1;
  quantize_model(model_, folder_.path() / "one", of_one);
  quantize_model(model_, folder_.path() / "three", of_three);
  const std::string weights = "model.safetensors";
  EXPECT_EQ(test::read_file(folder_.path() / "one" / weights),
            test::read_file(folder_.path() / "three" / weights));
}

TEST_F(QuantizeToy, TakesASettingForEachMatrixAndTellsProgress) {
  QuantizeOptions mixed = options(QuantizationMethod::kGptq, 4);
  mixed.setting.layers["transformer.layers.1.attention.qkv_proj"] = LayerQuantization{64, 8};
  mixed.setting.layers["transformer.tok_embeddings"] = std::nullopt;
  std::vector<int64_t> calls;
  mixed.on_progress = [&calls](int64_t n_done, int64_t n_matrices) {
    EXPECT_EQ(n_matrices, 15);
    calls.push_back(n_done);
  };
  const FolderExportReport report = quantize_model(model_, folder_.path() / "mixed", mixed);
  EXPECT_EQ(report.n_quantised, 15);
  EXPECT_EQ(report.n_kept, 1);
  EXPECT_EQ(calls.size(), 15u);
  EXPECT_EQ(calls.back(), 15);
  const Model read = test::load_model(folder_.path() / "mixed");
  EXPECT_EQ(read.args().quantization, mixed.setting);
  const SafetensorsFile file(folder_.path() / "mixed" / "model.safetensors");
  // 128 columns in 8 bits and in 4 bits, as words of 32 bits.
  EXPECT_EQ(file.at("transformer.layers.1.attention.qkv_proj.weight").shape.back(), 32);
  EXPECT_EQ(file.at("transformer.layers.0.attention.qkv_proj.weight").shape.back(), 16);
}

TEST_F(QuantizeToy, RefusesBeforeItComputes) {
  const std::filesystem::path target = folder_.path() / "model";
  const ErrorCode code = ErrorCode::kInvalidArgument;
  QuantizeOptions bad = options(QuantizationMethod::kGptq, 4);
  bad.calibration = std::span(ids_).first(255);
  test::expect_error(code, "expected at least 256 tokens (4 windows of block_size), got 255",
                     [&] { quantize_model(model_, target, bad); });
  std::vector<int32_t> ids = ids_;
  ids[3] = 512;
  bad.calibration = ids;
  test::expect_error(code, "expected token ids from 0 to 511, got 512",
                     [&] { quantize_model(model_, target, bad); });
  bad = options(QuantizationMethod::kWeighted, 7);
  test::expect_error(code, "bits: expected 2, 3, 4, 5, 6 or 8, got 7",
                     [&] { quantize_model(model_, target, bad); });
  bad = options(QuantizationMethod::kGptq, 4);
  bad.on_progress = [](int64_t, int64_t) { ADD_FAILURE() << "quantised for a folder that is there"; };
  std::filesystem::create_directory(target);
  test::expect_error(code, "expected no such folder yet", [&] { quantize_model(model_, target, bad); });
}

TEST_F(QuantizeToy, ObeysCancel) {
  std::stop_source source;
  source.request_stop();
  QuantizeOptions canceled = options(QuantizationMethod::kGptq, 4);
  canceled.cancel = source.get_token();
  test::expect_error(ErrorCode::kCanceled, "canceled",
                     [&] { quantize_model(model_, folder_.path() / "model", canceled); });
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "model"));
}

}  // namespace
}  // namespace lille
