#include "io/safetensors.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <limits>
#include <numeric>
#include <set>

#include "io/safetensors_bytes.h"
#include "support.h"

namespace lille {
namespace {

namespace fs = std::filesystem;
using test::safetensors_bytes;

/// Two tensors and metadata; the header has 137 bytes, so that data begin at an odd address, as MLX writes
/// them.
constexpr std::string_view kHeader =
    R"({"__metadata__":{"format":"mlx"},"b":{"dtype":"BF16","shape":[3],"data_offsets":[16,22]},)"
    R"("a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})";
constexpr std::string_view kData = "0123456789abcdefghijkl";

std::string good_safetensors() { return safetensors_bytes(kHeader, kData); }

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class Safetensors : public testing::Test {
 protected:
  SafetensorsFile read(std::string_view content) const {
    return SafetensorsFile(folder_.write("x.safetensors", content));
  }

  /// Expects an error about the file that contains `message`.
  void expect_fault(std::string_view content, std::string_view message) const {
    test::expect_error(ErrorCode::kCorruptFile, message, [&] { read(content); });
    test::expect_error(ErrorCode::kCorruptFile, "x.safetensors: ", [&] { read(content); });
    test::expect_error(ErrorCode::kCorruptFile, "Hint: ", [&] { read(content); });
  }

  /// The same for a header, with four bytes of data.
  void expect_header_fault(std::string_view header, std::string_view message) const {
    expect_fault(safetensors_bytes(header, "data"), message);
  }

  test::TemporaryFolder folder_;
};

TEST_F(Safetensors, ReadsTensorsInTheOrderOfTheirData) {
  const SafetensorsFile file = read(good_safetensors());
  ASSERT_EQ(file.tensors().size(), 2u);
  const TensorView& first = file.tensors()[0];
  EXPECT_EQ(first.name, "a");
  EXPECT_EQ(first.dtype, DType::kF32);
  EXPECT_EQ(first.shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(first.n_elements(), 4);
  EXPECT_EQ(text_of(first.bytes), "0123456789abcdef");
  EXPECT_EQ(first.file, file.path().string());
  EXPECT_EQ(text_of(file.at("b").bytes), "ghijkl");
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "mlx"}}));
}

TEST_F(Safetensors, DataMayStandAtAnOddAddress) {
  const SafetensorsFile file =
      read(safetensors_bytes(std::string(kHeader) + std::string(1 - kHeader.size() % 2, ' '), kData));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file.at("a").bytes.data()) % 2, 1u);
  EXPECT_EQ(load_unaligned<uint32_t>(file.at("a").bytes.data()), 0x33323130u);
}

TEST_F(Safetensors, FindsByName) {
  const SafetensorsFile file = read(good_safetensors());
  EXPECT_TRUE(file.contains("a"));
  EXPECT_FALSE(file.contains("c"));
  EXPECT_EQ(file.find("b"), &file.tensors()[1]);
  EXPECT_EQ(file.find(""), nullptr);
  test::expect_error(ErrorCode::kNotFound, "expected a tensor \"c\\x0a\", got 2 tensors",
                     [&] { file.at("c\n"); });
}

TEST_F(Safetensors, ViewsOutliveAMove) {
  SafetensorsFile file = read(good_safetensors());
  const TensorView view = file.at("b");
  const SafetensorsFile moved = std::move(file);
  EXPECT_EQ(text_of(view.bytes), "ghijkl");
  EXPECT_EQ(moved.at("b").bytes.data(), view.bytes.data());
}

TEST_F(Safetensors, AcceptsWhatTheFormatAllows) {
  EXPECT_EQ(read(safetensors_bytes("{}", "")).tensors().size(), 0u);
  EXPECT_EQ(read(safetensors_bytes("{}      ", "")).tensors().size(), 0u);
  const SafetensorsFile file = read(safetensors_bytes(
      R"({"scalar":{"dtype":"U32","shape":[],"data_offsets":[0,4]},"empty":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]},)"
      R"("last":{"dtype":"U8","shape":[0],"data_offsets":[4,4],"more":1}})",
      "data"));
  EXPECT_EQ(file.at("scalar").n_elements(), 1);
  EXPECT_EQ(file.at("empty").n_elements(), 0);
  EXPECT_TRUE(file.at("last").bytes.empty());
}

TEST_F(Safetensors, NamesAnEmptyOrCutFile) {
  const std::string whole = good_safetensors();
  const std::size_t header_end = 8 + kHeader.size();
  expect_fault("", "expected at least 8 bytes, got 0. Hint: is the download complete?");
  expect_fault(whole.substr(0, 7), "expected at least 8 bytes, got 7");
  expect_fault(whole.substr(0, 8), "got a file with 0 after the length");
  expect_fault(whole.substr(0, 9), "got a file with 1 after the length");
  expect_fault(whole.substr(0, header_end - 1), "after the length. Hint: is the download complete?");
  expect_fault(whole.substr(0, header_end), "expected data_offsets within the 0 bytes of data, got [0, 16]");
  expect_fault(whole.substr(0, header_end + 1),
               "expected data_offsets within the 1 bytes of data, got [0, 16]");
  expect_fault(whole.substr(0, whole.size() - 1),
               "tensor \"b\": expected data_offsets within the 21 bytes of data");
  expect_fault(whole + "x", "expected 22 bytes of data, as the header says, got 23");
}

TEST_F(Safetensors, EveryCutIsAnError) {
  const std::string whole = good_safetensors();
  for (std::size_t n_bytes = 0; n_bytes < whole.size(); ++n_bytes)
    EXPECT_THROW(read(whole.substr(0, n_bytes)), Error) << n_bytes;
}

TEST_F(Safetensors, RefusesImpossibleHeaderLengths) {
  for (const uint64_t length :
       {uint64_t{1} << 63, std::numeric_limits<uint64_t>::max(), uint64_t{100'000'001}})
    expect_fault(safetensors_bytes("{}", "", length),
                 "expected a header of at most 100000000 bytes, got a length of " + std::to_string(length));
  expect_fault(safetensors_bytes("{}", "", 3), "expected a header of 3 bytes, got a file with 2");
  expect_fault(safetensors_bytes("{}", "", 0), "expected a header that begins with {");
}

TEST_F(Safetensors, RefusesHeadersThatAreNoObject) {
  expect_header_fault("[1, 2, 3]", "expected a header that begins with {");
  expect_header_fault(" {}", "expected a header that begins with {");
  expect_header_fault("{\"a\": ", "expected JSON");
  expect_header_fault("{}{}", "expected JSON");
  expect_header_fault("{\"\xff\": 1}", "\\xff");
  expect_header_fault(R"({"a": 1})", "tensor \"a\": expected an object, got 1");
}

TEST_F(Safetensors, RefusesDuplicateNames) {
  expect_header_fault(
      R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
      "got \"a\" twice");
  expect_header_fault(R"({"a":{"dtype":"U8","dtype":"I8","shape":[4],"data_offsets":[0,4]}})",
                      "got \"dtype\" twice");
}

TEST_F(Safetensors, RefusesWrongDtypes) {
  expect_header_fault(R"({"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}})",
                      "expected a dtype such as F32");
  expect_header_fault(R"({"a":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}})", "got \"f32\"");
  expect_header_fault(R"({"a":{"dtype":7,"shape":[4],"data_offsets":[0,4]}})", "got 7");
  expect_header_fault(R"({"a":{"shape":[4],"data_offsets":[0,4]}})", "expected the field dtype, got none");
}

TEST_F(Safetensors, RefusesWrongShapes) {
  expect_header_fault(R"({"a":{"dtype":"U8","data_offsets":[0,4]}})", "expected the field shape, got none");
  expect_header_fault(R"({"a":{"dtype":"U8","shape":4,"data_offsets":[0,4]}})", "expected a shape, got 4");
  expect_header_fault(R"({"a":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}})",
                      "whole numbers from 0, got -4");
  expect_header_fault(R"({"a":{"dtype":"U8","shape":[4.0],"data_offsets":[0,4]}})",
                      "whole numbers from 0, got 4.0");
  expect_header_fault(R"({"a":{"dtype":"U8","shape":["4"],"data_offsets":[0,4]}})",
                      "whole numbers from 0, got \"4\"");
  expect_header_fault(R"({"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,4]}})",
                      "whole numbers from 0");
  expect_header_fault(R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,4]}})",
                      "expected 5 bytes for (5) of U8, got 4");
  expect_header_fault(R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,4]}})",
                      "expected 16 bytes for (2, 2) of F32, got 4");
}

TEST_F(Safetensors, AShapeHasAtMostEightDimensions) {
  EXPECT_EQ(read(safetensors_bytes(R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,4],"data_offsets":[0,4]}})",
                                   "data"))
                .at("a")
                .shape.size(),
            8u);
  expect_header_fault(R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,4],"data_offsets":[0,4]}})",
                      "tensor \"a\": expected a shape of at most 8 dimensions, got one of 9");
}

TEST_F(Safetensors, RefusesAShapeWhoseProductOverflows) {
  constexpr std::string_view kMessage = "expected a size that fits in 63 bits";
  expect_header_fault(R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,4]}})",
                      kMessage);
  expect_header_fault(R"({"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,4]}})",
                      kMessage);
  // 2^32 * 2^32 + 4 would be 4 in 64 bits without the check.
  expect_header_fault(R"({"a":{"dtype":"U8","shape":[2,9223372036854775807,2],"data_offsets":[0,4]}})",
                      kMessage);
}

TEST_F(Safetensors, RefusesWrongOffsets) {
  expect_header_fault(R"({"a":{"dtype":"U8","shape":[4]}})", "expected the field data_offsets, got none");
  expect_header_fault(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0]}})", "expected two data_offsets");
  expect_header_fault(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4,8]}})",
                      "expected two data_offsets");
  expect_header_fault(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[-4,0]}})",
                      "whole numbers from 0, got -4");
  expect_header_fault(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}})",
                      "expected data_offsets in order, got [4, 0]");
  expect_header_fault(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}})",
                      "within the 4 bytes of data, got [1, 5]");
  expect_header_fault(
      R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[18446744073709551612,18446744073709551615]}})",
      "whole numbers from 0");
}

TEST_F(Safetensors, RefusesOverlapsAndHoles) {
  expect_header_fault(
      R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
      "tensor \"b\": expected its data to begin at offset 3, where the tensor before it ends, got 2, which "
      "overlaps it");
  expect_header_fault(
      R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
      "which overlaps it");
  expect_header_fault(
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}})",
      "tensor \"b\": expected its data to begin at offset 1, where the tensor before it ends, got 3, which "
      "leaves a hole");
  expect_header_fault(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})", "which leaves a hole");
  expect_header_fault("{}", "expected 0 bytes of data, as the header says, got 4");
}

TEST_F(Safetensors, RefusesMetadataThatAreNoStrings) {
  expect_header_fault(R"({"__metadata__":[]})",
                      "expected __metadata__ to be an object of strings, got an array");
  expect_header_fault(R"({"__metadata__":{"n":1}})",
                      "expected __metadata__ to hold a string under \"n\", got 1");
}

TEST_F(Safetensors, QuotesNamesSafely) {
  expect_header_fault("{\"\\u001b[31m\\u0000" + std::string(200, 'x') + "\": 1}",
                      "tensor \"\\x1b[31m\\x00" + std::string(74, 'x') + "...\": expected an object");
}

TEST_F(Safetensors, NamesAFileThatIsNotThere) {
  test::expect_error(ErrorCode::kNotFound, "missing.safetensors",
                     [&] { SafetensorsFile(folder_.path() / "missing.safetensors"); });
  test::expect_error(ErrorCode::kIo, "got a folder", [&] { SafetensorsFile(folder_.path()); });
}

TEST_F(Safetensors, PathsMayHoldAnything) {
  const fs::path unusual = folder_.path() / "\xce\xa9 \xc3\xbc \xe6\xbc\xa2 \xff";
  fs::create_directory(unusual);
  std::ofstream(unusual / "x.safetensors", std::ios::binary) << good_safetensors();
  EXPECT_EQ(SafetensorsFile(unusual / "" / "x.safetensors").tensors().size(), 2u);
}

TEST_F(Safetensors, OpeningALargeFileReadsNoData) {
  // The size of Lille-130M in bfloat16; the data are a hole in the file, so a byte read is a page made.
  constexpr uint64_t kDataBytes = 254'342'400;
  const std::string header =
      fmt::format(R"({{"a":{{"dtype":"U8","shape":[{0}],"data_offsets":[0,{0}]}}}})", kDataBytes);
  const fs::path path = folder_.write("large.safetensors", safetensors_bytes(header, ""));
  fs::resize_file(path, fs::file_size(path) + kDataBytes);
  const SafetensorsFile file(path);
  const std::span<const std::byte> bytes = file.at("a").bytes;
  EXPECT_EQ(bytes.size(), kDataBytes);
  constexpr std::size_t kPageBytes = 4096;
  std::vector<unsigned char> is_resident(64 << 20 >> 12);
  const auto middle = (reinterpret_cast<uintptr_t>(bytes.data()) + (128 << 20)) / kPageBytes * kPageBytes;
  ASSERT_EQ(::mincore(reinterpret_cast<void*>(middle), is_resident.size() * kPageBytes, is_resident.data()),
            0);
  EXPECT_EQ(std::accumulate(is_resident.begin(), is_resident.end(), 0), 0);
}

TEST_F(Safetensors, ManyTensorsAreNotQuadratic) {
  constexpr int kTensors = 50'000;
  std::string header = "{";
  for (int idx = 0; idx < kTensors; ++idx)
    header += fmt::format(R"({}"t{}":{{"dtype":"U8","shape":[1],"data_offsets":[{},{}]}})",
                          idx == 0 ? "" : ",", idx, idx, idx + 1);
  const SafetensorsFile file = read(safetensors_bytes(header + "}", std::string(kTensors, 'x')));
  // Quadratic look-ups would take 2.5 * 10^9 comparisons of strings.
  for (int idx = 0; idx < kTensors; ++idx) ASSERT_TRUE(file.contains(fmt::format("t{}", idx)));
}

TEST(SafetensorsGolden, ReadsWhatMlxWrote) {
  const SafetensorsFile file(test::source_path("tests/golden/mlx/quant/q8_g64/model.safetensors"));
  EXPECT_EQ(file.metadata().at("format"), "mlx");
  const TensorView& weight = file.at("transformer.tok_embeddings.weight");
  EXPECT_EQ(weight.dtype, DType::kU32);
  EXPECT_EQ(weight.shape, (std::vector<int64_t>{512, 128 * 8 / 32}));
  EXPECT_EQ(file.at("transformer.tok_embeddings.scales").shape, (std::vector<int64_t>{512, 2}));
}

TEST(SafetensorsGolden, EveryGoldenFileIsRead) {
  LILLE_NEED_SHARED();
  std::set<DType> dtypes;
  int n_files = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(test::shared_path("golden"))) {
    if (entry.path().extension() != ".safetensors") continue;
    const SafetensorsFile file(entry.path());
    EXPECT_FALSE(file.tensors().empty()) << entry.path();
    for (const TensorView& tensor : file.tensors()) dtypes.insert(tensor.dtype);
    ++n_files;
  }
  EXPECT_GE(n_files, 50);
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kU32, DType::kU8, DType::kI32, DType::kI64})
    EXPECT_TRUE(dtypes.contains(dtype)) << dtype_name(dtype);
}

TEST(ShapeText, ReadsLikePython) {
  EXPECT_EQ(shape_text(std::vector<int64_t>{640, 1792}), "(640, 1792)");
  EXPECT_EQ(shape_text(std::vector<int64_t>{640}), "(640)");
  EXPECT_EQ(shape_text({}), "()");
}

}  // namespace
}  // namespace lille
