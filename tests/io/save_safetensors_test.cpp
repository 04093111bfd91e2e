#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>

#include "io/safetensors_writer.h"
#include "support.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> view_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(SaveSafetensors, WritesTheFormatByteForByte) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "x.safetensors";
  save_safetensors(path,
                   std::vector<TensorToSave>{{"b", DType::kU8, {3}, view_of("xyz")},
                                             {"a", DType::kF16, {}, view_of("12")}},
                   {{"format", "pt"}});
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
      R"("a":{"dtype":"F16","shape":[],"data_offsets":[3,5]}})";
  const std::string padding((64 - (8 + header.size()) % 64) % 64, ' ');
  std::string expected(8, '\0');
  expected[0] = static_cast<char>(header.size() + padding.size());
  EXPECT_EQ(test::read_file(path), expected + header + padding + "xyz12");
}

TEST(SaveSafetensors, ReadsBackEveryDtypeAndShape) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "\xce\xa9 x.safetensors";
  const std::string data(8 * 24, 'd');
  std::vector<TensorToSave> tensors;
  for (const char* dtype :
       {"F32", "F16", "BF16", "F64", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"}) {
    const DType value = *dtype_from_name(dtype);
    const auto n_bytes = static_cast<std::size_t>(24 * dtype_bytes(value));
    tensors.push_back(
        {fmt::format("\xc3\xbc \"{}\"\n", dtype), value, {2, 3, 4}, view_of(data).first(n_bytes)});
  }
  tensors.push_back({"scalar", DType::kF32, {}, view_of(data).first(4)});
  tensors.push_back({"empty", DType::kF32, {0, 5}, {}});
  save_safetensors(path, tensors, {{"key", "value \xe6\xbc\xa2"}});
  const SafetensorsFile file(path);
  ASSERT_EQ(file.tensors().size(), tensors.size());
  for (const TensorToSave& tensor : tensors) {
    const TensorView& read = file.at(tensor.name);
    EXPECT_EQ(read.dtype, tensor.dtype);
    EXPECT_EQ(read.shape, tensor.shape);
    ASSERT_EQ(read.bytes.size(), tensor.bytes.size());
    EXPECT_TRUE(std::equal(read.bytes.begin(), read.bytes.end(), tensor.bytes.begin()));
  }
  EXPECT_EQ(file.metadata().at("key"), "value \xe6\xbc\xa2");
  EXPECT_EQ((file.tensors()[0].bytes.data() - static_cast<const std::byte*>(nullptr)) % 64, 0);
}

TEST(SaveSafetensors, CopiesAGoldenFile) {
  const test::TemporaryFolder folder;
  const SafetensorsFile original(test::source_path("tests/golden/mlx/quant/q8_g64/model.safetensors"));
  std::vector<TensorToSave> tensors;
  for (const TensorView& tensor : original.tensors())
    tensors.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.bytes});
  save_safetensors(folder.path() / "copy", tensors, original.metadata());
  const SafetensorsFile copy(folder.path() / "copy");
  ASSERT_EQ(copy.tensors().size(), original.tensors().size());
  EXPECT_EQ(copy.metadata(), original.metadata());
  for (const TensorView& tensor : original.tensors()) {
    const TensorView& read = copy.at(tensor.name);
    ASSERT_EQ(read.bytes.size(), tensor.bytes.size());
    EXPECT_EQ(std::memcmp(read.bytes.data(), tensor.bytes.data(), tensor.bytes.size()), 0) << tensor.name;
  }
}

TEST(SafetensorsWriter, WritesTheSameFileTensorByTensor) {
  const test::TemporaryFolder folder;
  const std::vector<TensorToSave> tensors = {{"b", DType::kU8, {3}, view_of("xyz")},
                                             {"empty", DType::kF32, {0, 5}, {}},
                                             {"a", DType::kF16, {2}, view_of("1234")}};
  save_safetensors(folder.path() / "whole", tensors, {{"format", "pt"}});
  std::vector<TensorToSave> planned = tensors;
  for (TensorToSave& tensor : planned) tensor.bytes = {};
  SafetensorsWriter writer(folder.path() / "parts", planned, {{"format", "pt"}});
  for (const TensorToSave& tensor : tensors) writer.write(tensor.bytes);
  EXPECT_FALSE(fs::exists(folder.path() / "parts")) << "it appears whole";
  writer.commit();
  EXPECT_EQ(test::read_file(folder.path() / "parts"), test::read_file(folder.path() / "whole"));
}

TEST(SafetensorsWriter, RefusesBytesThatAreNotAsPlanned) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "x";
  {
    SafetensorsWriter writer(path, {{"a", DType::kF16, {2}, {}}});
    test::expect_error(ErrorCode::kInvalidArgument, "tensor \"a\": expected the bytes of (2) of F16, got 3",
                       [&] { writer.write(view_of("123")); });
    test::expect_error(ErrorCode::kInternal, "n_written_", [&] { writer.commit(); });
    writer.write(view_of("1234"));
    test::expect_error(ErrorCode::kInternal, "n_written_", [&] { writer.write({}); });
  }
  EXPECT_FALSE(fs::exists(path));
  constexpr int64_t kHuge = int64_t{1} << 62;
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{-1}, {kHuge, 2}, {kHuge}})
    test::expect_error(ErrorCode::kInvalidArgument, "expected a shape whose bytes can be counted", [&] {
      SafetensorsWriter(path, {{"a", DType::kU8, {kHuge}, {}},
                               {"b", DType::kU8, {kHuge}, {}},
                               {"c", DType::kU8, {kHuge}, {}},
                               {"d", DType::kU8, shape, {}}});
    });
}

TEST(SaveSafetensors, OfNothingIsAFile) {
  const test::TemporaryFolder folder;
  save_safetensors(folder.path() / "empty", {});
  EXPECT_TRUE(SafetensorsFile(folder.path() / "empty").tensors().empty());
}

TEST(SaveSafetensors, RefusesWhatNobodyCouldRead) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "x";
  const auto expect_fault = [&path](std::string_view message, std::vector<TensorToSave> tensors,
                                    std::map<std::string, std::string> metadata = {}) {
    test::expect_error(ErrorCode::kInvalidArgument, message,
                       [&] { save_safetensors(path, tensors, metadata); });
    EXPECT_FALSE(fs::exists(path));
  };
  const TensorToSave good{"a", DType::kU8, {3}, view_of("xyz")};
  expect_fault("tensor \"a\": expected a name that is not taken", {good, good});
  expect_fault("expected a name that is not reserved", {{"__metadata__", DType::kU8, {3}, view_of("xyz")}});
  expect_fault("tensor \"\\xff\": expected a name in UTF-8", {{"\xff", DType::kU8, {3}, view_of("xyz")}});
  expect_fault("expected the bytes of (2) of U8, got 3", {{"a", DType::kU8, {2}, view_of("xyz")}});
  expect_fault("expected the bytes of (-1) of U8, got 3", {{"a", DType::kU8, {-1}, view_of("xyz")}});
  expect_fault("expected the bytes of", {{"a", DType::kU8, {int64_t{1} << 62, 4}, {}}});
  expect_fault("metadata \"key\": expected UTF-8", {good}, {{"key", "\xff"}});
}

TEST(SaveSafetensors, NamesAMissingFolder) {
  const test::TemporaryFolder folder;
  test::expect_error(ErrorCode::kNotFound, "no such folder",
                     [&] { save_safetensors(folder.path() / "missing" / "x", {}); });
}

}  // namespace
}  // namespace lille
