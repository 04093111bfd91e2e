// Folders of every form from every form: what can be held comes back bit for bit.

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "gguf_files.h"
#include "lille/convert.h"
#include "model/folder_cases.h"
#include "model/golden.h"
#include "tokenizer/chat_template.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

FolderExportOptions quantised(LayerQuantization setting) {
  return {.form = FolderForm::kMlx,
          .quantization = QuantizationArgs{.group_size = setting.group_size, .bits = setting.bits}};
}

// The folders of golden/mlx/quant are the first two blocks of toy as mlx-lm quantises and saves them.
TEST(ExportFolder, HasTheTensorsOfMlxLm) {
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
        FolderExportOptions options = quantised({group_size, bits});
        if (is_bf16) options.dtype = FloatType::kBF16;
        const FolderExportReport report =
            export_folder(test::source_path("tests/golden/mlx/toy"), folder.path() / name, options);
        test::expect_tensors_of(folder.path() / name / "model.safetensors", expected / "model.safetensors");
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

FolderExportOptions packed() {
  FolderExportOptions options = {.form = FolderForm::kMlx};
  options.pack = true;
  return options;
}

std::vector<float> logits_of(const Model& model, bool exact) {
  Session session(model, {.n_threads = 1, .exact = exact});
  std::vector<float> values;
  // One row, few and many: each has its own way through a packed matrix.
  for (const int64_t n_tokens : {1, 2, 17}) {
    PromptCache cache = make_prompt_cache(model);
    std::vector<int32_t> ids;
    for (int32_t id = 0; id < n_tokens; ++id) ids.push_back(7 * id % 50);
    const BatchItem item = {ids, &cache, LogitsFor::kAll};
    const Logits logits = session.forward(std::span(&item, 1));
    values.insert(values.end(), logits.values.begin(), logits.values.end());
  }
  return values;
}

// Whatever their order, the same codes give the same bits, and come back.
TEST(ExportFolder, PackedWeightsGiveTheSameLogitsAndUnpack) {
  const test::TemporaryFolder folder;
  for (const int64_t bits : {4, 8})
    for (const int64_t group_size : {32, 64, 128})
      for (const FloatType type : {FloatType::kF32, FloatType::kF16, FloatType::kBF16}) {
        const fs::path codes = folder.path() / "codes";
        const fs::path panels = folder.path() / "panels";
        FolderExportOptions options = quantised({.group_size = group_size, .bits = bits});
        options.dtype = type;
        options.overwrite = true;
        export_folder(test::source_path("tests/golden/mlx/toy"), codes, options);
        options = packed();
        options.overwrite = true;
        export_folder(codes, panels, options);

        const Model expected = Model::load(codes);
        const Model actual = Model::load(panels);
        EXPECT_NE(actual.parts().front().dtype.find("packed"), std::string::npos);
        for (const bool exact : {false, true})
          EXPECT_EQ(logits_of(actual, exact), logits_of(expected, exact)) << bits;

        const fs::path back = folder.path() / "back";
        export_folder(panels, back, {.form = FolderForm::kMlx, .overwrite = true});
        test::expect_tensors_of(back / "model.safetensors", codes / "model.safetensors");
        EXPECT_EQ(Model::load(back).args().quantization, expected.args().quantization);
      }
}

TEST(ExportFolder, PacksAtOnceWhatItQuantises) {
  const test::TemporaryFolder folder;
  FolderExportOptions options = quantised({.group_size = 64, .bits = 8});
  export_folder(test::source_path("tests/golden/mlx/toy"), folder.path() / "codes", options);
  export_folder(folder.path() / "codes", folder.path() / "later", packed());
  options.pack = true;
  export_folder(test::source_path("tests/golden/mlx/toy"), folder.path() / "at once", options);
  test::expect_tensors_of(folder.path() / "at once/model.safetensors",
                          folder.path() / "later/model.safetensors");
}

TEST(ExportFolder, RefusesToPackWhatHasNoPanels) {
  const test::TemporaryFolder folder;
  const fs::path source = test::source_path("tests/golden/mlx/toy");
  const auto refuses = [&](std::string_view part, const fs::path& from, const FolderExportOptions& options) {
    test::expect_error(ErrorCode::kInvalidArgument, part,
                       [&] { export_folder(from, folder.path() / "target", options); });
    EXPECT_FALSE(fs::exists(folder.path() / "target"));
  };
  refuses("got only floats", source, packed());
  FolderExportOptions options = quantised({.group_size = 64, .bits = 6});
  options.pack = true;
  refuses("expected codes of 4 or 8 bits, got 6", source, options);
  options.form = FolderForm::kHf;
  options.quantization = std::nullopt;
  refuses("expected the form of MLX", source, options);
}

// What a folder says of its panels must fit them.
TEST(ExportFolder, AWrongSettingOfPanelsIsRefused) {
  const test::TemporaryFolder folder;
  FolderExportOptions options = quantised({.group_size = 64, .bits = 8});
  options.pack = true;
  export_folder(test::source_path("tests/golden/mlx/toy"), folder.path() / "packed", options);
  const fs::path config_file = folder.path() / "packed/config.json";
  const auto config = nlohmann::json::parse(test::read_file(config_file));
  const auto expect_fault = [&](ErrorCode code, std::string_view part, const auto& change) {
    auto changed = config;
    change(changed["quantization"]);
    changed["quantization_config"] = changed["quantization"];
    std::ofstream(config_file) << changed.dump();
    test::expect_error(code, part, [&] { Model::load(folder.path() / "packed"); });
  };
  expect_fault(ErrorCode::kCorruptFile, "got (", [](auto& setting) { setting["bits"] = 4; });
  expect_fault(ErrorCode::kCorruptFile, "expected codes of 4 or 8 bits",
               [](auto& setting) { setting["bits"] = 6; });
  expect_fault(ErrorCode::kCorruptFile, "got (",
               [](auto& setting) { setting["packing"]["scales"] = "BF16"; });
  expect_fault(ErrorCode::kCorruptFile, "packing.scales: expected F32, F16 or BF16, got \"I8\"",
               [](auto& setting) { setting["packing"]["scales"] = "I8"; });
  expect_fault(ErrorCode::kUnsupported, "packing.version: expected 1, got 2",
               [](auto& setting) { setting["packing"]["version"] = 2; });
  expect_fault(ErrorCode::kCorruptFile, "U8", [](auto& setting) { setting.erase("packing"); });
}

TEST(ExportFolder, KeepsTheFilesAndTheKeysOfTheSource) {
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
  export_folder(source, target, quantised({.group_size = 128, .bits = 6}));
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
                     [&] { export_folder(source, target); });
  FolderExportOptions again = quantised({.group_size = 64, .bits = 2});
  again.overwrite = true;
  export_folder(source, target, again);
  EXPECT_EQ(ModelArgs::load(target / "config.json").quantization->bits, 2);
  test::expect_error(ErrorCode::kInvalidArgument, "got 2-bit codes. Hint: quantize the checkpoint",
                     [&] { export_folder(target, around.path() / "other", quantised({})); });
  test::expect_error(ErrorCode::kInvalidArgument, "expected another folder than the source",
                     [&] { export_folder(source, source, {.overwrite = true}); });
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

// `tensor`, or, where it is a qkv_proj, its rows as q_proj, k_proj and v_proj.
void split_qkv(TensorToSave tensor, std::vector<TensorToSave>& tensors) {
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
}

TEST(ExportFolder, PartsOfQkvProjBecomeOneTensor) {
  const test::TemporaryFolder around;
  const fs::path source = around.path() / "split";
  const fs::path toy = test::source_path("tests/golden/mlx/toy");
  write_toy(source, split_qkv);
  export_folder(source, around.path() / "hf");
  test::expect_same_tensors(around.path() / "hf/model.safetensors", toy / "model.safetensors");
  export_folder(source, around.path() / "split-mlx", quantised({}));
  export_folder(toy, around.path() / "mlx", quantised({}));
  test::expect_same_tensors(around.path() / "split-mlx/model.safetensors",
                            around.path() / "mlx/model.safetensors");
}

TEST(ExportFolder, NumbersThatFloat16DoesNotHoldAreNoInfinities) {
  const test::TemporaryFolder around;
  const fs::path source = around.path() / "large";
  const std::vector<float> large(128, 70000.0F);
  write_toy(source, [&large](TensorToSave tensor, std::vector<TensorToSave>& tensors) {
    if (tensor.name == "transformer.norm.weight") tensor.bytes = std::as_bytes(std::span(large));
    tensors.push_back(tensor);
  });
  FolderExportOptions options = quantised({});
  for (const bool quantises : {true, false}) {
    if (!quantises) options.quantization.reset();
    options.dtype = FloatType::kF16;
    test::expect_error(
        ErrorCode::kInvalidArgument,
        "[convert] transformer.norm.weight: weight (0, 0): expected a number that float16 holds, got 70000",
        [&] { export_folder(source, around.path() / "out", options); });
    EXPECT_FALSE(fs::exists(around.path() / "out"));
    options.dtype = FloatType::kBF16;
    EXPECT_NO_THROW(export_folder(source, around.path() / (quantises ? "bf16-codes" : "bf16"), options));
  }
}

TEST(ExportFolder, MatricesWhoseRowsNoGroupDividesStayFloat) {
  // n_embd 240: only down_proj, with rows of 512, has whole groups of 64.
  const test::TemporaryFolder around;
  const FolderExportReport report =
      export_folder(test::source_path("tests/golden/mlx/odd"), around.path() / "odd", quantised({64, 8}));
  EXPECT_EQ(report.n_quantised, 2);
  EXPECT_EQ(report.n_kept, 9);
  EXPECT_NO_THROW(Model::load(around.path() / "odd"));
}

TEST(ExportFolder, NamesTheMatrixThatCannotBeQuantised) {
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
                     "[convert] " + tensor + ".weight: weight (0, 0): expected a finite number",
                     [&] { export_folder(source, around.path() / "target", quantised({})); });
  EXPECT_FALSE(fs::exists(around.path() / "target"));
  EXPECT_EQ(std::distance(fs::directory_iterator(around.path()), fs::directory_iterator()), 1);
}

// A message names the row of the parameter, wherever the file has it.
TEST(ExportFolder, NamesTheRowOfTheParameter) {
  const test::TemporaryFolder around;
  const auto expect_row = [&](const fs::path& source, int64_t row) {
    for (const FloatType type : {FloatType::kF16, FloatType::kBF16})
      test::expect_error(
          ErrorCode::kInvalidArgument,
          fmt::format("[convert] transformer.layers.0.attention.qkv_proj.weight: weight ({}, 3): "
                      "expected a finite number, got inf",
                      row),
          [&] { export_folder(source, around.path() / "out", {.dtype = type}); });
  };
  const SafetensorsFile toy(test::source_path("tests/golden/mlx/toy/model.safetensors"));
  const std::string name = "transformer.layers.0.attention.qkv_proj.weight";
  for (const int64_t row : {1, 130, 195}) {
    const TensorView& view = toy.at(name);
    std::vector<std::byte> values(view.bytes.begin(), view.bytes.end());
    const float infinite = std::numeric_limits<float>::infinity();
    std::memcpy(values.data() + (row * 128 + 3) * 4, &infinite, sizeof(infinite));
    const fs::path whole = around.path() / fmt::format("whole-{}", row);
    const fs::path split = around.path() / fmt::format("split-{}", row);
    for (const bool splits : {false, true})
      write_toy(splits ? split : whole, [&](TensorToSave tensor, std::vector<TensorToSave>& tensors) {
        if (tensor.name == name) tensor.bytes = values;
        splits ? split_qkv(tensor, tensors) : tensors.push_back(tensor);
      });
    expect_row(whole, row);
    expect_row(split, row);
    expect_row(test::GgufOfFolder(whole).save(around.path() / "permuted.gguf"), row);
  }
}

TEST(ExportFolder, NamesTheRowOfABlockToo) {
  const test::TemporaryFolder around;
  const fs::path toy = test::source_path("tests/golden/mlx/toy");
  constexpr std::size_t kRowBytes = 128 / 32 * 34;
  for (const auto& [tensor, first_row] : {std::pair("blk.0.attn_k", 128), std::pair("blk.0.attn_v", 192)}) {
    test::GgufOfFolder gguf(toy);
    for (GgufTensorToSave& saved : gguf.tensors()) {
      if (!saved.name.starts_with("blk.0.attn_") || saved.shape.size() != 2) continue;
      const bool is_bad = saved.name.starts_with(tensor);
      saved.dtype = DType::kQ8_0;
      saved.bytes = [is_bad, n_rows = saved.shape[0]] {
        std::vector<std::byte> blocks(static_cast<std::size_t>(n_rows) * kRowBytes);
        // The scale of a block of row 0, which is row 0 of a head in either order, is infinite.
        if (is_bad) blocks[1] = std::byte{0x7c};
        return blocks;
      };
    }
    test::expect_error(
        ErrorCode::kInvalidArgument,
        fmt::format("[convert] transformer.layers.0.attention.qkv_proj.weight: weight ({}, 0): expected a",
                    first_row),
        [&] {
          export_folder(gguf.save(around.path() / "x.gguf"), around.path() / "mlx",
                        {.form = FolderForm::kMlx});
        });
  }
}

// The tests' own writer permutes rows as llama.cpp's converters do.
TEST(ExportFolder, PutsRowsOfAnotherProgramsGgufBack) {
  const fs::path toy = test::source_path("tests/golden/torch/toy");
  const test::TemporaryFolder folder;
  for (const bool is_permuted : {false, true}) {
    const fs::path target = folder.path() / (is_permuted ? "permuted" : "not");
    test::GgufOfFolder gguf(toy, is_permuted);
    gguf.set("lille.qk_permuted", is_permuted);
    export_folder(gguf.save(folder.path() / "x.gguf"), target);
    test::expect_same_tensors(target / "model.safetensors", toy / "model.safetensors");
    EXPECT_FALSE(ModelArgs::load(target / "config.json").rope_layout) << "nobody has measured it";
  }
}

TEST(ExportFolder, AQuantisedFolderKeepsItsCodesForMlxOnly) {
  const fs::path source = test::source_path("models/lille-tiny-8bit");
  const test::TemporaryFolder folder;
  const fs::path mlx = folder.path() / "mlx";
  EXPECT_EQ(export_folder(source, mlx, {.form = FolderForm::kMlx}).n_dequantised, 0);
  test::expect_same_tensors(mlx / "model.safetensors", source / "model.safetensors");
  EXPECT_EQ(ModelArgs::load(mlx / "config.json"), ModelArgs::load(source / "config.json"));

  const fs::path hf = folder.path() / "hf";
  EXPECT_EQ(export_folder(source, hf).n_dequantised, 1 + 12 * 5);
  EXPECT_FALSE(ModelArgs::load(hf / "config.json").quantization);
  const SafetensorsFile floats(hf / "model.safetensors");
  EXPECT_EQ(floats.metadata().at("format"), "pt");
  const SafetensorsFile codes(source / "model.safetensors");
  const std::string name = "transformer.layers.3.attention.qkv_proj.";
  const TensorView& values = floats.at(name + "weight");
  EXPECT_EQ(values.dtype, DType::kF32);
  const auto half = [&codes, &name](const char* what, int64_t idx) {
    return bf16_to_f32(load_unaligned<uint16_t>(codes.at(name + what).bytes.data() + 2 * idx));
  };
  // Groups of 64 codes of 8 bits; the one fused multiply-add that a product makes.
  for (int64_t idx = 0; idx < values.n_elements(); ++idx) {
    const auto code = static_cast<float>(
        std::to_integer<int>(codes.at(name + "weight").bytes[static_cast<std::size_t>(idx)]));
    ASSERT_EQ(load_unaligned<float>(values.bytes.data() + 4 * idx),
              std::fma(half("scales", idx / 64), code, half("biases", idx / 64)))
        << idx;
  }
  const fs::path bf16 = folder.path() / "bf16";
  export_folder(source, bf16, {.form = FolderForm::kMlx, .dtype = FloatType::kBF16});
  const SafetensorsFile rounded(bf16 / "model.safetensors");
  for (const TensorView& tensor : rounded.tensors()) EXPECT_EQ(tensor.dtype, DType::kBF16) << tensor.name;
  EXPECT_EQ(nlohmann::json::parse(test::read_file(bf16 / "config.json"))["torch_dtype"], "bfloat16");
}

TEST(ExportFolder, BlocksOfGgufBecomeFloats) {
  const fs::path source = test::source_path("models/lille-tiny-8bit");
  const test::TemporaryFolder folder;
  GgufExportOptions options;
  options.type = "Q4_K_M";
  const fs::path file = folder.path() / "x.gguf";
  export_gguf(test::load_model(source, RopeLayout::kHalf), Tokenizer::load(source), file, options);
  const fs::path hf = folder.path() / "hf";
  EXPECT_EQ(export_folder(file, hf).n_dequantised, 1 + 12 * 5);
  const std::vector<int32_t> ids = {32767, 7454, 2402, 257, 640};
  Session blocks(Model::load(file));
  Session floats(Model::load(hf));
  EXPECT_EQ(floats.model().rope().layout, RopeLayout::kHalf);
  EXPECT_EQ(floats.model().rope().source, RopeSource::kConfig);
  EXPECT_EQ(test::all_logits(floats, ids), test::all_logits(blocks, ids));
  test::expect_error(ErrorCode::kInvalidArgument, "_K blocks. Hint: quantize the checkpoint",
                     [&] { export_folder(file, folder.path() / "q", quantised({})); });
}

TEST(ExportFolder, APickledTokenizerIsWrittenForOthers) {
  const test::TemporaryFolder around;
  const fs::path toy = test::source_path("tests/golden/torch/toy");
  for (const char* name : {"config.json", "model.safetensors"}) fs::copy(toy / name, around.path());
  fs::copy(test::source_path("tests/golden/hastings/Hastings.pkl"), around.path());
  const test::TemporaryFolder other;
  export_folder(around.path(), other.path() / "hf");
  for (const char* name :
       {"Hastings.pkl", "vocab.json", "merges.txt", "tokenizer.json", "generation_config.json"})
    EXPECT_TRUE(fs::exists(other.path() / "hf" / name)) << name;
}

TEST(ExportFolder, AChatTemplateThatIsNotKeptIsToldOf) {
  const test::TemporaryFolder around;
  const fs::path tiny = test::source_path("models/lille-tiny-8bit");
  const fs::path toy = test::source_path("tests/golden/torch/toy");
  int n_targets = 0;
  const auto warnings_of = [&](const fs::path& source) {
    std::string warnings;
    FolderExportOptions options;
    options.on_warning = [&warnings](std::string_view message) { warnings += message; };
    export_folder(source, around.path() / fmt::format("target-{}", n_targets++), options);
    return warnings;
  };
  constexpr std::string_view kOther = "{{ messages }} [INST]";
  constexpr std::string_view kReplaced =
      "the copy gets Lille's chat template instead of the model's: [chat] ";

  test::GgufOfFolder gguf(toy);
  gguf.set("tokenizer.chat_template", kOther);
  EXPECT_TRUE(warnings_of(gguf.save(around.path() / "a.gguf")).starts_with("the copy gets no chat template"));
  gguf.set("tokenizer.chat_template", kLilleChatTemplate);
  EXPECT_EQ(warnings_of(gguf.save(around.path() / "b.gguf")), "");

  const fs::path folder = around.path() / "folder";
  fs::create_directory(folder);
  for (const char* name : {"config.json", "model.safetensors"}) fs::copy(toy / name, folder);
  fs::copy(test::source_path("tests/golden/hastings/Hastings.pkl"), folder);
  const nlohmann::json config = {{"chat_template", kOther}};
  around.write("folder/tokenizer_config.json", config.dump());
  EXPECT_TRUE(warnings_of(folder).starts_with(kReplaced)) << "tokenizer_config.json is written anew";
  around.write("folder/chat_template.jinja", kOther);
  EXPECT_EQ(warnings_of(folder), "") << "the file is copied";
  fs::remove(folder / "chat_template.jinja");
  for (const char* name : {"vocab.json", "merges.txt"}) fs::copy(tiny / name, folder);
  EXPECT_EQ(warnings_of(folder), "") << "all files are copied";
}

TEST(ExportFolder, WhatIsLeftOutIsToldOf) {
  const test::TemporaryFolder around;
  const fs::path source = around.path() / "source";
  const std::vector<std::byte> head(512 * 128 * sizeof(float));
  write_toy(source,
            [](TensorToSave tensor, std::vector<TensorToSave>& tensors) { tensors.push_back(tensor); });
  write_toy(around.path() / "other", [&](TensorToSave tensor, std::vector<TensorToSave>& tensors) {
    tensors.push_back(tensor);
    if (tensor.name == "transformer.norm.weight")
      tensors.push_back({"transformer.lm_head.weight", DType::kF32, {512, 128}, head});
  });
  for (const bool has_head : {false, true}) {
    std::string warnings;
    FolderExportOptions options;
    options.on_warning = [&warnings](std::string_view message) { warnings += message; };
    export_folder(has_head ? around.path() / "other" : source,
                  around.path() / fmt::format("target-{}", has_head), options);
    EXPECT_EQ(warnings.find("lm_head.weight differs from the token embedding") != warnings.npos, has_head);
  }
}

TEST(ExportFolder, EachFormReplacesTheOther) {
  const test::TemporaryFolder around;
  const fs::path toy = test::source_path("tests/golden/mlx/toy");
  const fs::path target = around.path() / "target";
  for (const FolderForm form : {FolderForm::kMlx, FolderForm::kHf, FolderForm::kMlx}) {
    export_folder(toy, target, {.form = form, .overwrite = true});
    test::expect_same_tensors(target / "model.safetensors", toy / "model.safetensors");
    EXPECT_EQ(SafetensorsFile(target / "model.safetensors").metadata().at("format"),
              form == FolderForm::kMlx ? "mlx" : "pt");
    EXPECT_NO_THROW(Model::load(target));
  }
}

TEST(ExportFolder, WhatIsWrongBesideTheWeightsIsKnownBeforeTheyAreMade) {
  const test::TemporaryFolder around;
  const fs::path toy = test::source_path("tests/golden/torch/toy");
  const fs::path source = around.path() / "source";
  fs::create_directory(source);
  for (const char* name : {"config.json", "model.safetensors"}) fs::copy(toy / name, source);
  const fs::path target = around.path() / "target";
  fs::create_directory(target);
  FolderExportOptions options = {.overwrite = true};
  options.on_progress = [](int64_t, int64_t) { FAIL() << "weights were made"; };
  around.write("target/notes.txt", "mine");
  test::expect_error(ErrorCode::kInvalidArgument,
                     "expected nothing but files that are written anew, got notes.txt",
                     [&] { export_folder(source, target, options); });
  EXPECT_EQ(test::read_file(target / "notes.txt"), "mine");
  around.write("source/Hastings.pkl", "no pickle");
  test::expect_error(ErrorCode::kCorruptFile, "Hastings.pkl",
                     [&] { export_folder(source, around.path() / "new", options); });
  EXPECT_FALSE(fs::exists(around.path() / "new"));
}

// What stands behind the end of a file must not get into a copy.
TEST(ExportFolder, ATensorPastTheEndLeavesNoFolder) {
  const test::TemporaryFolder around;
  const fs::path gguf =
      test::GgufOfFolder(test::source_path("tests/golden/mlx/toy")).save(around.path() / "x.gguf");
  fs::resize_file(gguf, fs::file_size(gguf) - 64);
  for (const FolderForm form : {FolderForm::kHf, FolderForm::kMlx})
    test::expect_error(ErrorCode::kCorruptFile, "an end behind that of the file",
                       [&] { export_folder(gguf, around.path() / "copy", {.form = form}); });
  EXPECT_EQ(std::distance(fs::directory_iterator(around.path()), fs::directory_iterator()), 1);
}

TEST(ExportFolder, RefusesWhatWouldLoseTheSourceOrCannotBe) {
  const test::TemporaryFolder around;
  const fs::path toy = test::source_path("tests/golden/torch/toy");
  fs::create_directory(around.path() / "a");
  for (const char* name : {"config.json", "model.safetensors"}) fs::copy(toy / name, around.path() / "a");
  around.write("config.json", "{}");
  test::expect_error(ErrorCode::kInvalidArgument, "got one that holds",
                     [&] { export_folder(around.path() / "a", around.path(), {.overwrite = true}); });
  const fs::path gguf = test::GgufOfFolder(toy).save(around.path() / "a/x.gguf");
  test::expect_error(ErrorCode::kInvalidArgument, "got one that holds",
                     [&] { export_folder(gguf, around.path() / "a", {.overwrite = true}); });
  EXPECT_TRUE(fs::exists(gguf));
  test::expect_error(ErrorCode::kInvalidArgument, "Hint: choose mlx",
                     [&] { export_folder(toy, around.path() / "b", {.quantization = QuantizationArgs{}}); });
  EXPECT_FALSE(fs::exists(around.path() / "b"));
}

}  // namespace
}  // namespace lille
