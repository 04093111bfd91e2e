// What goes through another form and comes back has every bit that the other form can hold.

#include "io/gguf.h"
#include "io/torch_archive.h"
#include "lille/convert.h"
#include "model/folder_cases.h"
#include "model/golden.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

constexpr std::array<RopeLayout, 3> kLayouts = {RopeLayout::kInterleaved, RopeLayout::kHalf,
                                                RopeLayout::kOriginal};

/// Folders with weights of a formula, and what they become.
class RoundTrip : public testing::TestWithParam<test::Shape> {
 protected:
  fs::path at(std::string_view name) const { return folder_.path() / name; }
  fs::path weights(std::string_view name) const { return at(name) / "model.safetensors"; }

  void make_source(std::string_view name, FloatType type, bool has_tokenizer) const {
    test::make_formula_folder(at(name), GetParam(), type, has_tokenizer);
  }

  /// `name` has the weights of `source`, and its arguments with this layout.
  void expect_same(std::string_view name, std::string_view source, RopeLayout layout) {
    test::expect_same_tensors(weights(name), weights(source));
    ModelArgs expected = ModelArgs::load(at(source) / "config.json");
    expected.rope_layout = layout;
    EXPECT_EQ(ModelArgs::load(at(name) / "config.json"), expected);
  }

  test::TemporaryFolder folder_;
};

TEST_P(RoundTrip, ThroughGgufInEveryLayout) {
  std::size_t type_idx = static_cast<std::size_t>(GetParam().n_embd / 16);
  for (const RopeLayout layout : kLayouts) {
    const std::string name(rope_layout_name(layout));
    make_source(name, static_cast<FloatType>(type_idx++ % 3), true);
    const Model model = test::load_model(at(name), layout);
    export_gguf(model, Tokenizer::load(at(name)), at(name + ".gguf"));
    export_folder(at(name + ".gguf"), at(name + "-back"));
    expect_same(name + "-back", name, layout);
    EXPECT_EQ(Tokenizer::load(at(name + "-back")).vocab_size(), 32768);
    EXPECT_TRUE(fs::exists(at(name + "-back") / "generation_config.json"));
  }
}

TEST_P(RoundTrip, ThroughFloatFoldersAndPyTorchInEveryType) {
  for (const FloatType type : {FloatType::kF32, FloatType::kF16, FloatType::kBF16}) {
    const std::string name = fmt::format("{}", static_cast<int>(type));
    make_source(name, type, false);
    export_folder(at(name), at(name + "-mlx"), {.form = FolderForm::kMlx});
    export_folder(at(name + "-mlx"), at(name + "-back"), {.rope_layout = RopeLayout::kHalf});
    test::expect_same_tensors(weights(name + "-mlx"), weights(name));
    expect_same(name + "-back", name, RopeLayout::kHalf);

    const SafetensorsFile file(weights(name));
    folder_.write("x.pt",
                  test::torch_checkpoint(file.tensors(),
                                         test::model_args_opcodes(test::read_file(at(name) / "config.json")),
                                         "_orig_mod."));
    export_folder(at("x.pt"), at(name + "-pt"), {.rope_layout = RopeLayout::kOriginal});
    expect_same(name + "-pt", name, RopeLayout::kOriginal);
  }
}

/// The values of every tensor of both files are equal; -0 is 0.
void expect_same_values(const fs::path& actual_file, const fs::path& expected_file) {
  const SafetensorsFile actual(actual_file);
  const SafetensorsFile expected(expected_file);
  ASSERT_EQ(actual.tensors().size(), expected.tensors().size());
  for (const TensorView& tensor : expected.tensors()) {
    const TensorView& found = actual.at(tensor.name);
    ASSERT_EQ(found.dtype, DType::kF32) << tensor.name;
    ASSERT_EQ(tensor.dtype, DType::kF32) << tensor.name;
    for (int64_t idx = 0; idx < tensor.n_elements(); ++idx)
      ASSERT_EQ(load_unaligned<float>(found.bytes.data() + 4 * idx),
                load_unaligned<float>(tensor.bytes.data() + 4 * idx))
          << tensor.name << " element " << idx;
  }
}

/// Both files have the same tensors, byte for byte.
void expect_same_blocks(const fs::path& actual_file, const fs::path& expected_file) {
  const GgufFile actual(actual_file);
  const GgufFile expected(expected_file);
  ASSERT_EQ(actual.tensors().size(), expected.tensors().size());
  for (const TensorView& tensor : expected.tensors()) {
    const auto found = std::ranges::find(actual.tensors(), tensor.name, &TensorView::name);
    ASSERT_NE(found, actual.tensors().end()) << tensor.name;
    EXPECT_EQ(found->dtype, tensor.dtype) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(found->bytes, tensor.bytes)) << tensor.name;
  }
}

/// Whether a mixture's blocks come back from floats bit for bit: a scale that is the largest weight by a
/// whole number is found again, those of K-quants are the end of a search.
bool is_found_again(std::string_view type) { return !type.ends_with("_K_M") && !type.ends_with("_K"); }

/// Shapes whose rows blocks fit.
class BlockRoundTrip : public RoundTrip {};

TEST_P(BlockRoundTrip, KeepsTheIntegers) {
  for (const RopeLayout layout : kLayouts)
    for (const std::string type : {"Q8_0", "Q4_0", "Q5_0", "Q4_K_M", "Q6_K"}) {
      // The order of rows depends on the layout alone, the blocks on the type alone.
      if (layout != RopeLayout::kHalf && type != "Q8_0") continue;
      const test::TemporaryFolder folder;
      const auto in = [&folder](const char* name) { return folder.path() / name; };
      test::make_formula_folder(in("source"), GetParam(), FloatType::kBF16, true);
      const Tokenizer tokenizer = Tokenizer::load(in("source"));
      GgufExportOptions blocks;
      blocks.type = type;
      export_gguf(test::load_model(in("source"), layout), tokenizer, in("x.gguf"), blocks);
      const Model model = Model::load(in("x.gguf"));
      ASSERT_EQ(model.rope().layout, layout);
      export_gguf(model, tokenizer, in("again.gguf"));
      expect_same_blocks(in("again.gguf"), in("x.gguf"));

      export_folder(in("x.gguf"), in("hf"));
      const FolderExportReport report = export_folder(in("x.gguf"), in("mlx"), {.form = FolderForm::kMlx});
      EXPECT_EQ(report.n_dequantised == 0, is_found_again(type)) << "Q6_K has no form there";
      export_folder(in("mlx"), in("hf-of-mlx"), {.dtype = FloatType::kF32});
      export_folder(in("hf"), in("hf-f32"), {.dtype = FloatType::kF32});
      expect_same_values(in("hf-of-mlx") / kWeightFile, in("hf-f32") / kWeightFile);
      if (!is_found_again(type)) continue;
      for (const char* name : {"hf", "mlx"}) {
        const Model read = Model::load(in(name));
        ASSERT_EQ(read.rope().layout, layout);
        export_gguf(read, tokenizer, in(name).concat(".gguf"), blocks);
        expect_same_blocks(in(name).concat(".gguf"), in("x.gguf"));
      }
    }
}

TEST_P(RoundTrip, OfMlxsCodesKeepsThem) {
  make_source("source", FloatType::kF16, false);
  for (const int64_t bits : {2, 3, 4, 5, 6, 8}) {
    const std::string name = fmt::format("q{}", bits);
    export_folder(
        at("source"), at(name),
        {.form = FolderForm::kMlx, .quantization = QuantizationArgs{.group_size = 32, .bits = bits}});
    export_folder(at(name), at(name + "-again"), {.form = FolderForm::kMlx});
    test::expect_same_tensors(weights(name + "-again"), weights(name));
    EXPECT_EQ(ModelArgs::load(at(name + "-again") / "config.json"),
              ModelArgs::load(at(name) / "config.json"));
  }
}

std::string shape_name(const testing::TestParamInfo<test::Shape>& shape) {
  return fmt::format("{}_{}_{}", shape.param.n_embd, shape.param.n_head, shape.param.n_kv_heads);
}

INSTANTIATE_TEST_SUITE_P(Shapes, RoundTrip,
                         testing::Values(test::Shape{128, 4, 2}, test::Shape{240, 10, 5},
                                         test::Shape{112, 4, 1}, test::Shape{160, 10, 2}),
                         shape_name);

INSTANTIATE_TEST_SUITE_P(Shapes, BlockRoundTrip,
                         testing::Values(test::Shape{128, 4, 2}, test::Shape{160, 10, 2}), shape_name);

}  // namespace
}  // namespace lille
