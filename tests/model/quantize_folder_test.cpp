#include <fstream>
#include <nlohmann/json.hpp>

#include "lille/quantize.h"
#include "model/golden.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

/// Every tensor of the expected file must be in the other with the same dtype, shape and bytes.
void expect_tensors_of(const fs::path& actual_file, const fs::path& expected_file) {
  const SafetensorsFile actual(actual_file);
  const SafetensorsFile expected(expected_file);
  for (const TensorView& tensor : expected.tensors()) {
    const TensorView* found = actual.find(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(found->dtype, tensor.dtype) << tensor.name;
    EXPECT_EQ(found->shape, tensor.shape) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(found->bytes, tensor.bytes)) << tensor.name;
  }
}

// The folders of golden/mlx/quant are the first two blocks of toy as mlx-lm quantises and saves them.
TEST(QuantizeFolder, HasTheTensorsOfMlxLm) {
  LILLE_NEED_SHARED();
  const test::TemporaryFolder folder;
  int n_compared = 0;
  for (const int64_t bits : {2, 3, 4, 5, 6, 8})
    for (const int64_t group_size : {32, 64, 128})
      for (const bool is_bf16 : {false, true}) {
        const std::string name = fmt::format("q{}_g{}{}", bits, group_size, is_bf16 ? "_bf16" : "");
        const fs::path expected = test::shared_path("golden/mlx/quant/" + name);
        if (!fs::exists(expected)) continue;
        ++n_compared;
        QuantizeOptions options = {.setting = {group_size, bits}};
        if (is_bf16) options.scale_type = ScaleType::kBF16;
        const QuantizeReport report =
            quantize_folder(test::source_path("tests/golden/mlx/toy"), folder.path() / name, options);
        expect_tensors_of(folder.path() / name / "model.safetensors", expected / "model.safetensors");
        const auto config = nlohmann::json::parse(test::read_file(folder.path() / name / "config.json"));
        auto wanted = nlohmann::json::parse(test::read_file(expected / "config.json"));
        wanted["n_layer"] = 3;
        for (const auto& [key, value] : wanted.items()) EXPECT_EQ(config[key], value) << name << ' ' << key;
        // toy: three blocks of five matrices, and the embedding.
        EXPECT_EQ(report.n_quantised, 16);
        EXPECT_EQ(report.n_kept, 0);
        const SafetensorsFile file(folder.path() / name / "model.safetensors");
        EXPECT_EQ(file.metadata().at("format"), "mlx");
        EXPECT_NO_THROW(Model::load(folder.path() / name));
      }
  EXPECT_EQ(n_compared, 10);
}

TEST(QuantizeFolder, KeepsTheFilesAndTheKeysOfTheSource) {
  const test::TemporaryFolder around;
  const fs::path source = around.path() / "source";
  fs::create_directory(source);
  fs::copy_file(test::source_path("tests/golden/mlx/toy/model.safetensors"), source / "model.safetensors");
  auto config = nlohmann::json::parse(test::read_file(test::source_path("tests/golden/mlx/toy/config.json")));
  config["eos_token_id"] = 7;
  config["rope_layout"] = "half";
  around.write("source/config.json", config.dump());
  around.write("source/vocab.json", "{}");
  around.write("source/generation_config.json", "{\"top_p\":0.5}");
  around.write("source/notes.txt", "not part of a model");
  const fs::path target = around.path() / "target";
  quantize_folder(source, target, {.setting = {.group_size = 128, .bits = 6}});
  const auto written = nlohmann::json::parse(test::read_file(target / "config.json"));
  EXPECT_EQ(written["eos_token_id"], 7);
  EXPECT_EQ(written["rope_layout"], "half");
  EXPECT_EQ(written["quantization"]["bits"], 6);
  EXPECT_EQ(written["quantization"], written["quantization_config"]);
  EXPECT_EQ(test::read_file(target / "vocab.json"), "{}");
  EXPECT_EQ(test::read_file(target / "generation_config.json"), "{\"top_p\":0.5}");
  EXPECT_FALSE(fs::exists(target / "notes.txt"));
  const auto index = nlohmann::json::parse(test::read_file(target / "model.safetensors.index.json"));
  const SafetensorsFile file(target / "model.safetensors");
  EXPECT_EQ(index["weight_map"].size(), file.tensors().size());
  int64_t n_bytes = 0;
  for (const TensorView& tensor : file.tensors()) n_bytes += static_cast<int64_t>(tensor.bytes.size());
  EXPECT_EQ(index["metadata"]["total_size"], n_bytes);

  test::expect_error(ErrorCode::kInvalidArgument, "expected no such folder yet",
                     [&] { quantize_folder(source, target, {}); });
  quantize_folder(source, target, {.setting = {.group_size = 64, .bits = 2}, .overwrite = true});
  EXPECT_EQ(ModelArgs::load(target / "config.json").quantization->bits, 2);
  test::expect_error(ErrorCode::kInvalidArgument, "got 2-bit codes. Hint: quantize the checkpoint",
                     [&] { quantize_folder(target, around.path() / "other", {}); });
  test::expect_error(ErrorCode::kInvalidArgument, "expected another folder than the source",
                     [&] { quantize_folder(source, source, {.overwrite = true}); });
}

// The checkpoint toy in `folder`, with its tensors as `change` wants them.
template <typename Change>
void write_toy(const fs::path& folder, Change&& change) {
  const fs::path toy = test::source_path("tests/golden/mlx/toy");
  fs::create_directory(folder);
  fs::copy_file(toy / "config.json", folder / "config.json");
  const SafetensorsFile file(toy / "model.safetensors");
  std::vector<TensorToSave> tensors;
  for (const TensorView& view : file.tensors())
    change(TensorToSave{view.name, view.dtype, view.shape, view.bytes}, tensors);
  save_safetensors(folder / "model.safetensors", tensors);
}

TEST(QuantizeFolder, PartsOfQkvProjAreRefusedByName) {
  const test::TemporaryFolder around;
  const fs::path source = around.path() / "split";
  write_toy(source, [](TensorToSave tensor, std::vector<TensorToSave>& tensors) {
    const std::size_t at = tensor.name.find("qkv_proj");
    if (at == tensor.name.npos) return tensors.push_back(tensor);
    // toy: four query heads and two of keys and values each, of 32.
    std::size_t begin = 0;
    for (const auto& [part, n_rows] :
         {std::pair("q_proj", 128), std::pair("k_proj", 64), std::pair("v_proj", 64)}) {
      const auto n_bytes = static_cast<std::size_t>(n_rows) * 128 * sizeof(float);
      TensorToSave piece = tensor;
      piece.name.replace(at, 8, part);
      piece.shape[0] = n_rows;
      piece.bytes = tensor.bytes.subspan(begin, n_bytes);
      tensors.push_back(piece);
      begin += n_bytes;
    }
  });
  EXPECT_NO_THROW(Model::load(source));
  test::expect_error(ErrorCode::kUnsupported, "qkv_proj.weight in one tensor, got it in parts",
                     [&] { quantize_folder(source, around.path() / "out", {}); });
  EXPECT_FALSE(fs::exists(around.path() / "out"));
}

TEST(QuantizeFolder, NumbersThatFloat16DoesNotHoldAreNoInfinities) {
  const test::TemporaryFolder around;
  const fs::path source = around.path() / "large";
  const std::vector<float> large(128, 70000.0F);
  write_toy(source, [&large](TensorToSave tensor, std::vector<TensorToSave>& tensors) {
    if (tensor.name == "transformer.norm.weight") tensor.bytes = std::as_bytes(std::span(large));
    tensors.push_back(tensor);
  });
  test::expect_error(
      ErrorCode::kInvalidArgument, "transformer.norm.weight: expected numbers that float16 holds, got 70000",
      [&] { quantize_folder(source, around.path() / "out", {.scale_type = ScaleType::kF16}); });
  EXPECT_NO_THROW(quantize_folder(source, around.path() / "out", {.scale_type = ScaleType::kBF16}));
}

TEST(QuantizeFolder, MatricesWhoseRowsNoGroupDividesStayFloat) {
  // n_embd 240: only down_proj, with rows of 512, has whole groups of 64.
  const test::TemporaryFolder around;
  const QuantizeReport report =
      quantize_folder(test::source_path("tests/golden/mlx/odd"), around.path() / "odd", {.setting = {64, 8}});
  EXPECT_EQ(report.n_quantised, 2);
  EXPECT_EQ(report.n_kept, 9);
  EXPECT_NO_THROW(Model::load(around.path() / "odd"));
}

TEST(QuantizeFolder, NamesTheMatrixThatCannotBeQuantised) {
  const test::TemporaryFolder around;
  const fs::path source = around.path() / "source";
  fs::create_directory(source);
  for (const char* name : {"config.json", "model.safetensors"})
    fs::copy_file(test::source_path("tests/golden/mlx/toy") / name, source / name);
  const std::string tensor = "transformer.layers.1.feed_forward.up_proj";
  const std::size_t at = [&] {
    const SafetensorsFile file(source / "model.safetensors");
    const std::string bytes = test::read_file(source / "model.safetensors");
    const TensorView& view = file.at(tensor + ".weight");
    return bytes.find(std::string(reinterpret_cast<const char*>(view.bytes.data()), 64));
  }();
  std::fstream(source / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary)
      .seekp(static_cast<std::streamoff>(at))
      .write("\xff\xff\xff\x7f", 4);
  test::expect_error(ErrorCode::kInvalidArgument,
                     tensor + ": [quantize] weight (0, 0): expected a finite number",
                     [&] { quantize_folder(source, around.path() / "target", {}); });
  EXPECT_FALSE(fs::exists(around.path() / "target"));
  EXPECT_EQ(std::distance(fs::directory_iterator(around.path()), fs::directory_iterator()), 1);
}

}  // namespace
}  // namespace lille
