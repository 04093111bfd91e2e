// Comparing models: the errors that are put in are the errors that are found, whatever the form of the files.

#include "lille/diff.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "gguf_files.h"
#include "lille/convert.h"
#include "model/golden.h"

namespace lille {
namespace {

constexpr const char* kQkvBase = "transformer.layers.1.attention.qkv_proj";
constexpr const char* kQkv = "transformer.layers.1.attention.qkv_proj.weight";
constexpr const char* kNorm = "transformer.norm.weight";

const std::filesystem::path& toy() {
  static const std::filesystem::path path = test::source_path("tests/golden/mlx/toy");
  return path;
}

/// A copy of the toy model, whose weights are F32, with values changed.
class Changed : public testing::Test {
 protected:
  using Edit = std::function<void(const std::string& name, std::vector<float>& values)>;

  Model change(const Edit& edit) {
    const SafetensorsFile file(toy() / "model.safetensors");
    std::vector<std::vector<float>> storage;
    storage.reserve(file.tensors().size());
    std::vector<TensorToSave> tensors;
    for (const TensorView& view : file.tensors()) {
      auto& values = storage.emplace_back(static_cast<std::size_t>(view.n_elements()));
      std::memcpy(values.data(), view.bytes.data(), view.bytes.size());
      edit(view.name, values);
      tensors.push_back({view.name, DType::kF32, view.shape, std::as_bytes(std::span(values))});
    }
    return save(tensors);
  }

  Model save(std::span<const TensorToSave> tensors) {
    const std::filesystem::path model = folder_.path() / std::to_string(n_models_++);
    std::filesystem::create_directory(model);
    save_safetensors(model / "model.safetensors", tensors);
    std::ofstream(model / "config.json") << config_.dump();
    return test::load_model(model);
  }

  test::TemporaryFolder folder_;
  int n_models_ = 0;
  nlohmann::json config_ = nlohmann::json::parse(test::read_file(toy() / "config.json"));
  Model original_ = test::load_model(toy());
};

std::vector<std::string> differing(const ModelDiff& diff) {
  std::vector<std::string> names;
  for (const ParameterDiff& parameter : diff.parameters)
    if (!parameter.is_same()) names.push_back(parameter.name);
  return names;
}

const ParameterDiff& at(const ModelDiff& diff, std::string_view name) {
  for (const ParameterDiff& parameter : diff.parameters)
    if (parameter.name == name) return parameter;
  throw std::out_of_range(std::string(name));
}

TEST_F(Changed, AModelIsTheSameAsItself) {
  const ModelDiff diff = diff_models(original_, original_);
  EXPECT_TRUE(diff.is_same());
  EXPECT_TRUE(diff.arguments.empty());
  ASSERT_EQ(diff.parameters.size(), 1u + 3 * 7 + 1);
  for (const ParameterDiff& parameter : diff.parameters) {
    EXPECT_EQ(parameter.n_different, 0) << parameter.name;
    EXPECT_EQ(parameter.max_error, 0) << parameter.name;
    EXPECT_EQ(parameter.rms_error, 0) << parameter.name;
    EXPECT_TRUE(parameter.max_error_at.empty()) << parameter.name;
    EXPECT_EQ(parameter.dtype_a, "F32") << parameter.name;
  }
}

TEST_F(Changed, OneElementIsFoundWithItsErrorAndPlace) {
  constexpr std::size_t kPlace = 201 * 128 + 77;
  float before = 0;
  const Model changed = change([&](const std::string& name, std::vector<float>& values) {
    if (name != kQkv) return;
    before = values[kPlace];
    values[kPlace] = before + 0.5F;
  });
  const ModelDiff diff = diff_models(original_, changed);
  EXPECT_FALSE(diff.is_same());
  EXPECT_EQ(differing(diff), std::vector<std::string>{kQkv});
  const ParameterDiff& found = at(diff, kQkv);
  const double error = double{before + 0.5F} - double{before};
  EXPECT_EQ(found.n_different, 1);
  EXPECT_EQ(found.max_error, error);
  EXPECT_EQ(found.max_error_at, (std::vector<int64_t>{201, 77}));
  EXPECT_EQ(found.value_a, before);
  EXPECT_EQ(found.value_b, before + 0.5F);
  EXPECT_DOUBLE_EQ(found.rms_error, error / std::sqrt(256.0 * 128.0));
  EXPECT_EQ(found.shape_a, (std::vector<int64_t>{256, 128}));
}

TEST_F(Changed, TheLargestOfSeveralErrorsCountsAndOfEqualOnesTheFirst) {
  const Model changed = change([](const std::string& name, std::vector<float>& values) {
    if (name != kNorm) return;
    for (float& value : values) value = 1;
    values[9] = -3;
    values[3] = 5;
    values[40] = 2;
  });
  const Model ones = change([](const std::string& name, std::vector<float>& values) {
    if (name == kNorm) std::ranges::fill(values, 1.0F);
  });
  for (const int64_t n_threads : {1, 3}) {
    const ModelDiff diff = diff_models(ones, changed, {.n_threads = n_threads, .on_progress = {}});
    const ParameterDiff& found = at(diff, kNorm);
    EXPECT_EQ(found.n_different, 3);
    EXPECT_EQ(found.max_error, 4);
    EXPECT_EQ(found.max_error_at, std::vector<int64_t>{3});
    EXPECT_DOUBLE_EQ(found.rms_error, std::sqrt((16.0 + 16.0 + 1.0) / 128.0));
  }
}

TEST_F(Changed, NanAndInfinity) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Model changed = change([&](const std::string& name, std::vector<float>& values) {
    if (name == kNorm) values[7] = nan;
    if (name == kQkv) values[0] = std::numeric_limits<float>::infinity();
  });
  const ModelDiff diff = diff_models(original_, changed);
  for (const char* name : {kNorm, kQkv}) {
    EXPECT_EQ(at(diff, name).n_different, 1) << name;
    EXPECT_EQ(at(diff, name).max_error, std::numeric_limits<double>::infinity()) << name;
  }
  EXPECT_EQ(at(diff, kNorm).max_error_at, std::vector<int64_t>{7});
  EXPECT_TRUE(std::isnan(at(diff, kNorm).value_b));
  EXPECT_TRUE(diff_models(changed, changed).is_same()) << "a NaN equals a NaN";
}

TEST_F(Changed, AZeroHasNoSign) {
  const Model plus = change([](const std::string&, std::vector<float>& values) { values[0] = 0; });
  const Model minus = change([](const std::string&, std::vector<float>& values) { values[0] = -0.0F; });
  EXPECT_TRUE(diff_models(plus, minus).is_same());
}

TEST_F(Changed, FewerLayersAreNamedAndTheRestCompared) {
  config_["n_layer"] = 2;
  const SafetensorsFile file(toy() / "model.safetensors");
  std::vector<TensorToSave> tensors;
  for (const TensorView& view : file.tensors())
    if (!view.name.starts_with("transformer.layers.2."))
      tensors.push_back({view.name, view.dtype, view.shape, view.bytes});
  const Model smaller = save(tensors);
  for (const bool is_swapped : {false, true}) {
    const ModelDiff diff = is_swapped ? diff_models(smaller, original_) : diff_models(original_, smaller);
    ASSERT_EQ(diff.arguments.size(), 1u);
    EXPECT_EQ(diff.arguments[0].name, "n_layer");
    EXPECT_EQ(diff.arguments[0].a, is_swapped ? "2" : "3");
    EXPECT_EQ(diff.arguments[0].b, is_swapped ? "3" : "2");
    EXPECT_EQ(differing(diff).size(), 7u);
    for (const std::string& name : differing(diff)) {
      EXPECT_TRUE(name.starts_with("transformer.layers.2.")) << name;
      EXPECT_EQ(at(diff, name).shape_a.empty(), is_swapped) << name;
      EXPECT_EQ(at(diff, name).shape_b.empty(), !is_swapped) << name;
    }
  }
}

TEST_F(Changed, OtherShapesAreNotCompared) {
  const Model tiny = test::load_model(test::source_path("models/lille-tiny-8bit"));
  const ModelDiff diff = diff_models(original_, tiny);
  EXPECT_FALSE(diff.is_same());
  const ParameterDiff& found = at(diff, kNorm);
  EXPECT_FALSE(found.is_comparable());
  EXPECT_EQ(found.shape_a, std::vector<int64_t>{128});
  EXPECT_EQ(found.shape_b, std::vector<int64_t>{256});
  EXPECT_EQ(found.max_error, 0);
}

TEST_F(Changed, ArgumentsAndTheLayoutInUseCount) {
  config_["rope_theta"] = 500.0;
  const Model changed = change([](const std::string&, std::vector<float>&) {});
  const ModelDiff diff = diff_models(original_, changed);
  EXPECT_TRUE(differing(diff).empty());
  ASSERT_EQ(diff.arguments.size(), 1u);
  EXPECT_EQ(diff.arguments[0].name, "rope_theta");
  EXPECT_FALSE(diff.is_same());
  const ModelDiff layouts = diff_models(original_, test::load_model(toy(), RopeLayout::kHalf));
  ASSERT_EQ(layouts.arguments.size(), 1u);
  EXPECT_EQ(layouts.arguments[0].name, "rope_layout");
  EXPECT_EQ(layouts.arguments[0].b, "\"half\"");
}

TEST_F(Changed, RowsOfAGgufFileStandInTheModelsOrder) {
  const Model permuted = test::load_model(test::GgufOfFolder(toy()).save(folder_.path() / "permuted.gguf"));
  EXPECT_TRUE(diff_models(original_, permuted).is_same());
  // A file whose rows were never permuted is read as if they were, so only q and k differ.
  const Model plain = test::load_model(test::GgufOfFolder(toy(), false).save(folder_.path() / "plain.gguf"));
  const std::vector<std::string> names = differing(diff_models(original_, plain));
  EXPECT_EQ(names.size(), 3u);
  for (const std::string& name : names) EXPECT_TRUE(name.ends_with("attention.qkv_proj.weight")) << name;
}

TEST_F(Changed, CodesAreComparedByTheirValues) {
  const std::filesystem::path source = test::source_path("models/lille-tiny-8bit");
  const Model coded = test::load_model(source);
  export_folder(source, folder_.path() / "floats", {.rope_layout = coded.rope().layout});
  const ModelDiff diff = diff_models(coded, test::load_model(folder_.path() / "floats"));
  EXPECT_TRUE(diff.is_same());
  const ParameterDiff& embedding = at(diff, "transformer.tok_embeddings.weight");
  EXPECT_EQ(embedding.dtype_a, "8-bit, groups of 64, BF16 scales");
  EXPECT_EQ(embedding.dtype_b, "F32");
  EXPECT_EQ(at(diff, kNorm).dtype_a, "BF16");

  const SafetensorsFile file(source / "model.safetensors");
  std::vector<TensorToSave> tensors;
  std::vector<std::byte> codes;
  float scale = 0;
  float bias = 0;
  float code = 0;
  const auto first_bf16 = [&](const char* name) {
    return bf16_to_f32(load_unaligned<uint16_t>(file.at(std::string(kQkvBase) + name).bytes.data()));
  };
  for (const TensorView& view : file.tensors()) {
    tensors.push_back({view.name, view.dtype, view.shape, view.bytes});
    if (view.name != kQkv) continue;
    codes.assign(view.bytes.begin(), view.bytes.end());
    code = static_cast<float>(std::to_integer<int>(codes[0]));
    codes[0] ^= std::byte{1};
    scale = first_bf16(".scales");
    bias = first_bf16(".biases");
    tensors.back().bytes = codes;
  }
  const float changed_code = static_cast<float>(std::to_integer<int>(codes.at(0)));
  config_ = nlohmann::json::parse(test::read_file(source / "config.json"));
  const ModelDiff changed = diff_models(coded, save(tensors));
  EXPECT_EQ(differing(changed), std::vector<std::string>{kQkv});
  const ParameterDiff& found = at(changed, kQkv);
  EXPECT_EQ(found.n_different, 1);
  EXPECT_EQ(found.max_error_at, (std::vector<int64_t>{0, 0}));
  EXPECT_EQ(found.value_a, std::fma(scale, code, bias));
  EXPECT_EQ(found.value_b, std::fma(scale, changed_code, bias));
  EXPECT_EQ(found.max_error, std::fabs(double{found.value_a} - double{found.value_b}));
}

TEST_F(Changed, TellsProgress) {
  std::vector<int64_t> calls;
  diff_models(original_, original_,
              {.n_threads = 1, .on_progress = [&](int64_t n_done, int64_t n_parameters) {
                 EXPECT_EQ(n_parameters, 23);
                 calls.push_back(n_done);
               }});
  ASSERT_EQ(calls.size(), 23u);
  EXPECT_EQ(calls.back(), 23);
}

}  // namespace
}  // namespace lille
