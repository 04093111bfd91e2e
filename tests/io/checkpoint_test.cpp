#include <fmt/format.h>
#include <gtest/gtest.h>

#include "io/safetensors.h"
#include "support.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndex = "model.safetensors.index.json";

/// Writes a file with tensors of one byte each.
void write_shard(const fs::path& path, const std::vector<std::string>& names) {
  const std::byte value{7};
  std::vector<TensorToSave> tensors;
  for (const std::string& name : names) tensors.push_back({name, DType::kU8, {1}, std::span(&value, 1)});
  save_safetensors(path, tensors);
}

class CheckpointFolder : public testing::Test {
 protected:
  void shard(const char* name, const std::vector<std::string>& tensors) const {
    write_shard(folder_.path() / name, tensors);
  }
  void index(std::string_view text) const { folder_.write(kIndex, text); }
  void expect_fault(ErrorCode code, std::string_view message) const {
    test::expect_error(code, message, [this] { Checkpoint(folder_.path()); });
    test::expect_error(code, "Hint: ", [this] { Checkpoint(folder_.path()); });
  }
  std::vector<std::string> names() const {
    const Checkpoint checkpoint(folder_.path());
    std::vector<std::string> result;
    for (const TensorView& tensor : checkpoint.tensors()) result.push_back(tensor.name);
    return result;
  }

  test::TemporaryFolder folder_;
};

TEST_F(CheckpointFolder, ReadsASingleFile) {
  shard("model.safetensors", {"x", "y"});
  EXPECT_EQ(names(), (std::vector<std::string>{"x", "y"}));
}

TEST_F(CheckpointFolder, ReadsShards) {
  shard("model-2.safetensors", {"z"});
  shard("model-1.safetensors", {"x", "y"});
  shard("model.safetensors", {"not used"});
  index(
      R"({"metadata":{},"weight_map":{"x":"model-1.safetensors","z":"model-2.safetensors","y":"model-1.safetensors"}})");
  EXPECT_EQ(names(), (std::vector<std::string>{"x", "y", "z"}));
  EXPECT_EQ(Checkpoint(folder_.path()).files().size(), 2u);
}

TEST_F(CheckpointFolder, AnIndexOfOneFileAddsNothing) {
  shard("model.safetensors", {"x", "y"});
  index(R"({"weight_map":{"x":"model.safetensors"}})");
  EXPECT_EQ(names().size(), 2u);
  index(R"({"weight_map":{}})");
  EXPECT_EQ(names().size(), 2u);
}

TEST_F(CheckpointFolder, NamesAMissingFolderOrFile) {
  expect_fault(ErrorCode::kNotFound,
               "expected model.safetensors or model.safetensors.index.json, got neither");
  test::expect_error(ErrorCode::kNotFound, "missing: no such folder",
                     [this] { Checkpoint(folder_.path() / "missing"); });
  const fs::path file = folder_.write("file", "");
  test::expect_error(ErrorCode::kNotFound, "expected a folder, got a file",
                     [&] { Checkpoint checkpoint(file); });
}

TEST_F(CheckpointFolder, NamesAMissingShard) {
  shard("a.safetensors", {"x"});
  index(R"({"weight_map":{"x":"a.safetensors","y":"b.safetensors","z":"c.safetensors"}})");
  expect_fault(ErrorCode::kNotFound,
               "got none called b.safetensors, c.safetensors. Hint: is the download complete?");
  index(R"({"weight_map":{"x":"model.safetensors"}})");
  expect_fault(ErrorCode::kNotFound, "got none called model.safetensors");
}

TEST_F(CheckpointFolder, AShardStaysInTheFolder) {
  write_shard(folder_.path() / "outside.safetensors", {"x"});
  fs::create_directory(folder_.path() / "inside");
  const fs::path inside = folder_.path() / "inside";
  for (const std::string name :
       {"../outside.safetensors", "/etc/passwd", "sub/x", "sub\\\\x", "..", ".", "", "a\\u0000b"}) {
    std::ofstream(inside / kIndex) << R"({"weight_map":{"x":")" << name << R"("}})";
    test::expect_error(ErrorCode::kCorruptFile, "\"x\": expected the name of a file in the same folder",
                       [&] { Checkpoint checkpoint(inside); });
  }
}

TEST_F(CheckpointFolder, RefusesAMalformedIndex) {
  shard("model.safetensors", {"x"});
  index("");
  expect_fault(ErrorCode::kCorruptFile, "model.safetensors.index.json: expected JSON");
  index("{}");
  expect_fault(ErrorCode::kCorruptFile, "expected an object weight_map, got none");
  index(R"({"weight_map":[]})");
  expect_fault(ErrorCode::kCorruptFile, "expected an object weight_map, got an array");
  index(R"({"weight_map":{"x":1}})");
  expect_fault(ErrorCode::kCorruptFile, "expected the name of a file in the same folder, got 1");
  index(R"({"weight_map":{"x":"a","x":"b"}})");
  expect_fault(ErrorCode::kCorruptFile, "got \"x\" twice");
}

TEST_F(CheckpointFolder, IndexAndShardsMustAgree) {
  shard("a.safetensors", {"x"});
  shard("b.safetensors", {"y", "extra"});
  index(R"({"weight_map":{"x":"a.safetensors","y":"a.safetensors","z":"b.safetensors"}})");
  expect_fault(ErrorCode::kCorruptFile, "got 4 faults: ");
  expect_fault(ErrorCode::kCorruptFile, "\"y\" is not in a.safetensors");
  expect_fault(ErrorCode::kCorruptFile, "\"z\" is not in b.safetensors");
  expect_fault(ErrorCode::kCorruptFile, "\"extra\" of b.safetensors is not in the index");
}

TEST_F(CheckpointFolder, ALongListOfFaultsIsCut) {
  shard("a.safetensors", {"x"});
  std::string map = R"("x":"a.safetensors")";
  for (int idx = 0; idx < 100; ++idx) map += fmt::format(R"(,"t{}":"a.safetensors")", idx);
  index("{\"weight_map\":{" + map + "}}");
  expect_fault(ErrorCode::kCorruptFile, "got 100 faults: ");
  expect_fault(ErrorCode::kCorruptFile, "and more. Hint");
}

TEST_F(CheckpointFolder, NamesADamagedShard) {
  shard("a.safetensors", {"x"});
  folder_.write("b.safetensors", "cut");
  index(R"({"weight_map":{"x":"a.safetensors","y":"b.safetensors"}})");
  expect_fault(ErrorCode::kCorruptFile, "b.safetensors: expected at least 8 bytes, got 3");
}

TEST_F(CheckpointFolder, AVeryLongShardNameIsMissing) {
  index("{\"weight_map\":{\"x\":\"" + std::string(5000, 'x') + "\"}}");
  expect_fault(ErrorCode::kNotFound, "xxx...");
}

TEST_F(CheckpointFolder, ShardsMayBeLinks) {
  const test::TemporaryFolder cache;
  write_shard(cache.path() / "blob", {"x"});
  fs::create_symlink(cache.path() / "blob", folder_.path() / "model.safetensors");
  EXPECT_EQ(names(), std::vector<std::string>{"x"});
}

TEST_F(CheckpointFolder, PathsMayHoldSpacesOtherScriptsAndATrailingSlash) {
  const fs::path unusual = folder_.path() / "\xce\xa9 \xc3\xbc \xe6\xbc\xa2";
  fs::create_directory(unusual);
  write_shard(unusual / "model.safetensors", {"x"});
  EXPECT_EQ(Checkpoint(unusual.string() + "/").tensors().size(), 1u);
}

TEST(CheckpointModels, ReadsTheModelOfTheRepository) {
  // 12 blocks of 4 linear layers in three parts, 12 * 2 norms, an embedding in three parts, a norm.
  EXPECT_EQ(Checkpoint(test::source_path("models/lille-tiny-8bit")).tensors().size(),
            12u * 5 * 3 + 12 * 2 + 3 + 1);
}

}  // namespace
}  // namespace lille
