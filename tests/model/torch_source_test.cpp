// PyTorch checkpoints as models: the same answers as the folder with the same weights.

#include "model/torch_source.h"

#include "io/torch_archive.h"
#include "lille/tokenizer.h"
#include "model/golden.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

class TorchModel : public testing::Test {
 protected:
  static fs::path toy() { return test::source_path("tests/golden/torch/toy"); }

  /// The toy's weights as a .pt file with its model_args.
  static std::string toy_bytes(std::string_view prefix = "", bool is_deflated = false) {
    const SafetensorsFile weights(toy() / "model.safetensors");
    return test::torch_checkpoint(weights.tensors(),
                                  test::model_args_opcodes(test::read_file(toy() / "config.json")), prefix,
                                  is_deflated);
  }

  static std::vector<float> logits(const fs::path& path, RopeLayout layout) {
    Session session(test::load_model(path, layout));
    std::vector<int32_t> ids;
    for (int32_t idx = 0; idx < 30; ++idx) ids.push_back(idx * 37 % 99);
    return test::all_logits(session, ids);
  }

  test::TemporaryFolder folder_;
};

TEST_F(TorchModel, GivesTheBitsOfTheFolderInEveryLayout) {
  const fs::path file = folder_.path() / "any name.pt";
  for (const auto& [prefix, is_deflated] :
       {std::pair("", false), std::pair("_orig_mod.", true), std::pair("module.", false)}) {
    folder_.write("any name.pt", toy_bytes(prefix, is_deflated));
    for (const RopeLayout layout : {RopeLayout::kInterleaved, RopeLayout::kHalf, RopeLayout::kOriginal})
      EXPECT_EQ(logits(file, layout), logits(toy(), layout)) << prefix << rope_layout_name(layout);
  }
}

TEST_F(TorchModel, AFolderWithACheckpointOnly) {
  for (const char* name : {"ckpt_final.pt", "best_model.pt"}) {
    const fs::path file = folder_.write(name, toy_bytes());
    const auto source = ModelSource::open(folder_.path());
    EXPECT_EQ(source->form(), "PyTorch checkpoint");
    EXPECT_EQ(source->path(), folder_.path());
    EXPECT_EQ(source->files(), std::vector<fs::path>{file}) << "the best comes before the last";
    EXPECT_EQ(logits(folder_.path(), RopeLayout::kOriginal), logits(toy(), RopeLayout::kOriginal));
  }
  fs::copy(toy() / "config.json", folder_.path());
  fs::copy(toy() / "model.safetensors", folder_.path());
  EXPECT_EQ(ModelSource::open(folder_.path())->form(), "safetensors folder");
}

TEST_F(TorchModel, ABareStateDictNeedsAConfigBesideIt) {
  const SafetensorsFile weights(toy() / "model.safetensors");
  const fs::path file = folder_.write("pytorch_model.bin", test::torch_checkpoint(weights.tensors(), ""));
  test::expect_error(ErrorCode::kNotFound, "expected model_args in the file or a config.json beside it",
                     [&] { Model::load(file); });
  fs::copy(toy() / "config.json", folder_.path());
  EXPECT_EQ(logits(file, RopeLayout::kHalf), logits(toy(), RopeLayout::kHalf));
  EXPECT_EQ(ModelSource::open(file)->files(), (std::vector<fs::path>{file, folder_.path() / "config.json"}));
}

TEST_F(TorchModel, TheFilesOfRealTraining) {
  for (const char* name : {"best_model.pt", "ckpt_final.pt"}) {
    const Model model =
        test::load_model(test::source_path("tests/golden/torch/pt") / name, RopeLayout::kOriginal);
    EXPECT_EQ(model.args().n_layer, 1);
    EXPECT_EQ(model.parts().size(), 4u);
  }
}

TEST_F(TorchModel, WhatIsWrongIsSaid) {
  const fs::path real = test::source_path("tests/golden/torch/pt");
  test::expect_error(ErrorCode::kUnsupported, "got posix.system", [&] { Model::load(real / "system.pt"); });
  test::expect_error(ErrorCode::kUnsupported, "since PyTorch 1.6", [&] { Model::load(real / "legacy.pt"); });
  const SafetensorsFile weights(toy() / "model.safetensors");
  const fs::path file = folder_.write(
      "a.pt", test::torch_checkpoint(weights.tensors().subspan(1),
                                     test::model_args_opcodes(test::read_file(toy() / "config.json"))));
  test::expect_error(ErrorCode::kCorruptFile, "is missing", [&] { Model::load(file); });
}

TEST_F(TorchModel, TheTokenizerStandsBesideTheFile) {
  const fs::path file = folder_.write("best_model.pt", toy_bytes());
  EXPECT_FALSE(Tokenizer::exists(file));
  test::expect_error(ErrorCode::kNotFound, "Hint: a .pt file holds no tokenizer",
                     [&] { Tokenizer::load(file); });
  fs::copy(test::source_path("tests/golden/hastings/Hastings.pkl"), folder_.path());
  EXPECT_EQ(Tokenizer::load(file).vocab_size(), 32768);
  EXPECT_EQ(Tokenizer::load(folder_.path()).vocab_size(), 32768);
}

}  // namespace
}  // namespace lille
