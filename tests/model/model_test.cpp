// Loading: what a folder may look like, and what is said when it is wrong.

#include "lille/model.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "model/golden.h"

namespace lille {
namespace {

class Folder : public testing::Test {
 protected:
  Folder() {
    for (const char* file : {"config.json", "model.safetensors"})
      std::filesystem::copy_file(test::source_path("tests/golden/mlx/toy") / file, folder_.path() / file);
  }

  void edit_config(const std::function<void(nlohmann::json&)>& edit) {
    nlohmann::json config = nlohmann::json::parse(test::read_file(folder_.path() / "config.json"));
    edit(config);
    folder_.write("config.json", config.dump());
  }

  // Rewrites the weights with one tensor changed; `edit` may also drop it by clearing its name.
  void edit_tensors(const std::function<void(TensorToSave&)>& edit) {
    const SafetensorsFile file(test::source_path("tests/golden/mlx/toy/model.safetensors"));
    std::vector<TensorToSave> tensors;
    for (const TensorView& view : file.tensors()) {
      TensorToSave tensor = {view.name, view.dtype, view.shape, view.bytes};
      edit(tensor);
      if (!tensor.name.empty()) tensors.push_back(std::move(tensor));
    }
    save_safetensors(folder_.path() / "model.safetensors", tensors);
  }

  test::TemporaryFolder folder_;
};

TEST_F(Folder, PathsOfAllKindsWork) {
  for (const char* name : {"\xce\xa9 \xc3\xbc \xe6\xbc\xa2", "with spaces", "plain"}) {
    const std::filesystem::path copy = folder_.path() / name;
    std::filesystem::create_directory(copy);
    for (const char* file : {"config.json", "model.safetensors"})
      std::filesystem::copy_file(folder_.path() / file, copy / file);
    EXPECT_EQ(Model::load(copy).args().n_embd, 128);
    EXPECT_EQ(Model::load(copy.string() + "/").args().n_embd, 128) << "a trailing slash";
  }
}

TEST_F(Folder, NoSuchFolder) {
  test::expect_error(ErrorCode::kNotFound, "nowhere: expected a folder",
                     [&] { Model::load(folder_.path() / "nowhere"); });
  test::expect_error(ErrorCode::kNotFound, "got a file",
                     [&] { Model::load(folder_.path() / "config.json"); });
}

TEST_F(Folder, NoConfigOrNoWeights) {
  std::filesystem::rename(folder_.path() / "config.json", folder_.path() / "elsewhere");
  test::expect_error(ErrorCode::kNotFound, "config.json", [&] { Model::load(folder_.path()); });
  std::filesystem::rename(folder_.path() / "elsewhere", folder_.path() / "config.json");
  std::filesystem::remove(folder_.path() / "model.safetensors");
  test::expect_error(ErrorCode::kNotFound, "model.safetensors", [&] { Model::load(folder_.path()); });
}

TEST_F(Folder, WeightsOfAnotherShape) {
  edit_config([](nlohmann::json& config) { config["n_layer"] = 4; });
  test::expect_error(ErrorCode::kCorruptFile, "transformer.layers.3.attention.norm.weight is missing",
                     [&] { Model::load(folder_.path()); });
}

TEST_F(Folder, MissingTensorIsNamed) {
  edit_tensors([](TensorToSave& tensor) {
    if (tensor.name == "transformer.layers.1.feed_forward.up_proj.weight") tensor.name.clear();
  });
  test::expect_error(ErrorCode::kCorruptFile, "transformer.layers.1.feed_forward.up_proj.weight is missing",
                     [&] { Model::load(folder_.path()); });
}

TEST_F(Folder, TheTrainingCodesNamesLoad) {
  edit_config([](nlohmann::json& config) {
    config["n_heads"] = config["n_head"];
    config["n_layers"] = config["n_layer"];
    config.erase("n_head");
    config.erase("n_layer");
  });
  edit_tensors([](TensorToSave& tensor) {
    tensor.name = "_orig_mod." + tensor.name.substr(std::string("transformer.").size());
  });
  const Model model = Model::load(folder_.path());
  const Model plain = test::load_model(test::source_path("tests/golden/mlx/toy"));
  Session session(model);
  Session plain_session(plain);
  const std::vector<int32_t> ids = {5, 6, 7};
  EXPECT_EQ(test::all_logits(session, ids), test::all_logits(plain_session, ids));
}

TEST_F(Folder, NanWeightsAreNamedInAWarning) {
  std::vector<float> spoiled(128, NAN);
  edit_tensors([&](TensorToSave& tensor) {
    if (tensor.name == "transformer.norm.weight") tensor.bytes = std::as_bytes(std::span(spoiled));
  });
  std::vector<std::string> warnings;
  LoadOptions options;
  options.on_warning = [&](std::string_view text) { warnings.emplace_back(text); };
  Model::load(folder_.path(), options);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("transformer.norm.weight contains NaN"), std::string::npos) << warnings[0];
}

TEST_F(Folder, PartsAddUp) {
  const Model model = Model::load(folder_.path());
  int64_t n_parameters = 0;
  int64_t n_bytes = 0;
  for (const Model::Part& part : model.parts()) {
    n_parameters += part.n_parameters;
    n_bytes += part.n_bytes;
    EXPECT_EQ(part.dtype, "F32");
  }
  // 512*128 + 3 * (128 + 256*128 + 128*128 + 128 + 3*256*128) + 128
  EXPECT_EQ(n_parameters, 65536 + 3 * (128 + 32768 + 16384 + 128 + 98304) + 128);
  EXPECT_EQ(n_bytes, 4 * n_parameters);
}

TEST_F(Folder, BfloatWeightsComputeInFloat32) {
  // The bound: weights rounded to bfloat16 (relative 2^-9 each) in both, so float32 arithmetic must agree to
  // 3e-4 with the same weights stored as float32, while the rounding itself moves logits by far more.
  std::vector<std::vector<uint16_t>> narrow;
  std::vector<std::vector<float>> widened;
  const SafetensorsFile file(test::source_path("tests/golden/mlx/toy/model.safetensors"));
  std::vector<TensorToSave> tensors16;
  std::vector<TensorToSave> tensors32;
  narrow.reserve(file.tensors().size());
  widened.reserve(file.tensors().size());
  for (const TensorView& view : file.tensors()) {
    auto& bits = narrow.emplace_back();
    auto& floats = widened.emplace_back();
    for (int64_t idx = 0; idx < view.n_elements(); ++idx) {
      bits.push_back(f32_to_bf16(load_unaligned<float>(view.bytes.data() + 4 * idx)));
      floats.push_back(bf16_to_f32(bits.back()));
    }
    tensors16.push_back({view.name, DType::kBF16, view.shape, std::as_bytes(std::span(bits))});
    tensors32.push_back({view.name, DType::kF32, view.shape, std::as_bytes(std::span(floats))});
  }
  const std::vector<int32_t> ids = {1, 40, 300, 7, 511, 2, 2, 90};
  save_safetensors(folder_.path() / "model.safetensors", tensors16);
  Session half(Model::load(folder_.path()), {.exact = true});
  const std::vector<float> half_logits = test::all_logits(half, ids);
  save_safetensors(folder_.path() / "model.safetensors", tensors32);
  Session whole(Model::load(folder_.path()));
  test::expect_near(half_logits, test::all_logits(whole, ids), 3e-4, "bf16 weights");
}

}  // namespace
}  // namespace lille
