#include "model/model_source.h"

#include "gguf_files.h"
#include "model/golden.h"

namespace lille {
namespace {

TEST(ModelSource, KnowsAFolderAndAFile) {
  const std::filesystem::path toy = test::source_path("tests/golden/torch/toy");
  const auto folder = ModelSource::open(toy);
  EXPECT_EQ(folder->form(), "safetensors folder");
  EXPECT_EQ(folder->path(), toy);
  EXPECT_FALSE(folder->has_permuted_qk());
  EXPECT_EQ(folder->files(),
            (std::vector<std::filesystem::path>{toy / "model.safetensors", toy / "config.json"}));

  const test::TemporaryFolder temporary;
  const std::filesystem::path path = test::GgufOfFolder(toy).save(temporary.path() / "no extension");
  const auto file = ModelSource::open(path);
  EXPECT_EQ(file->form(), "GGUF version 3");
  EXPECT_EQ(file->path(), path);
  EXPECT_TRUE(file->has_permuted_qk());
  EXPECT_EQ(file->files(), std::vector<std::filesystem::path>{path});
  EXPECT_EQ(file->args(), folder->args());
  EXPECT_EQ(file->tensors({}).size(), folder->tensors({}).size() + 2 * 3) << "q, k and v of three layers";
}

TEST(ModelSource, MlxQuantisedFolder) {
  EXPECT_EQ(ModelSource::open(test::source_path("tests/golden/mlx/quant/q8_g64"))->form(),
            "MLX-quantised folder");
}

TEST(ModelSource, AnythingElseIsNotFound) {
  const test::TemporaryFolder folder;
  test::expect_error(ErrorCode::kNotFound, "or a .pt file of PyTorch, got nothing there",
                     [&] { ModelSource::open(folder.path() / "nowhere"); });
  test::expect_error(ErrorCode::kNotFound, "or a .pt file of PyTorch, got a file of another kind",
                     [&] { ModelSource::open(folder.write("x", "{}")); });
  test::expect_error(ErrorCode::kNotFound, "config.json", [&] { ModelSource::open(folder.path()); });
}

}  // namespace
}  // namespace lille
