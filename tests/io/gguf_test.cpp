#include "io/gguf.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "io/gguf_bytes.h"
#include "support.h"

namespace lille {
namespace {

using test::gguf_key;
using test::gguf_tensor;
using test::gguf_text;
using test::GgufBytes;
using test::raw;

constexpr uint32_t kF32 = 0;
constexpr uint32_t kQ8_0 = 8;
constexpr uint32_t kQ6_K = 14;

/// Two tensors, one of them in blocks, and a key of every type.
GgufBytes good_file() {
  GgufBytes file;
  file.keys = {
      gguf_key("u8", 0, raw<uint8_t>(200)),
      gguf_key("i8", 1, raw<int8_t>(-3)),
      gguf_key("u16", 2, raw<uint16_t>(60000)),
      gguf_key("i16", 3, raw<int16_t>(-300)),
      gguf_key("u32", 4, raw<uint32_t>(4000000000)),
      gguf_key("i32", 5, raw<int32_t>(-70000)),
      gguf_key("f32", 6, raw<float>(0.5F)),
      gguf_key("bool", 7, raw<uint8_t>(1)),
      gguf_key("string", 8, gguf_text("llama")),
      gguf_key("numbers", 9, raw<uint32_t>(5) + raw<uint64_t>(2) + raw<int32_t>(1) + raw<int32_t>(-2)),
      gguf_key("texts", 9, raw<uint32_t>(8) + raw<uint64_t>(2) + gguf_text("a") + gguf_text("")),
      gguf_key("nested", 9,
               raw<uint32_t>(9) + raw<uint64_t>(1) + raw<uint32_t>(0) + raw<uint64_t>(3) + "xyz"),
      gguf_key("u64", 10, raw<uint64_t>(~uint64_t{0})),
      gguf_key("i64", 11, raw<int64_t>(-5)),
      gguf_key("f64", 12, raw<double>(0.25))};
  file.tensors = {gguf_tensor("b", {32, 2}, kQ8_0, 32), gguf_tensor("a", {3, 2}, kF32, 0)};
  file.data = std::string(24, 'a') + std::string(8, '\0') + std::string(68, 'b');
  return file;
}

class Gguf : public testing::Test {
 protected:
  GgufFile read(std::string_view content) const { return GgufFile(folder_.write("x.gguf", content)); }

  /// Expects an error about the file that contains `message` and a hint.
  void expect_fault(std::string_view content, std::string_view message,
                    ErrorCode code = ErrorCode::kCorruptFile) const {
    test::expect_error(code, message, [&] { read(content); });
    test::expect_error(code, "x.gguf: ", [&] { read(content); });
    test::expect_error(code, "Hint: ", [&] { read(content); });
  }

  /// The same for a file with this one tensor and 64 bytes of data.
  void expect_tensor_fault(const std::string& tensor, std::string_view message,
                           ErrorCode code = ErrorCode::kCorruptFile) const {
    GgufBytes file;
    file.tensors = {tensor};
    file.data = std::string(64, 'x');
    expect_fault(file.text(), message, code);
  }

  /// The same for a file with this one key.
  void expect_key_fault(const std::string& key, std::string_view message) const {
    GgufBytes file;
    file.keys = {key};
    expect_fault(file.text(), message);
  }

  test::TemporaryFolder folder_;
};

TEST_F(Gguf, ReadsTensorsInTheOrderOfTheirData) {
  for (const uint32_t version : {2u, 3u}) {
    GgufBytes bytes = good_file();
    bytes.version = version;
    const GgufFile file = read(bytes.text());
    EXPECT_EQ(file.version(), version);
    ASSERT_EQ(file.tensors().size(), 2u);
    const TensorView& first = file.tensors()[0];
    EXPECT_EQ(first.name, "a");
    EXPECT_EQ(first.dtype, DType::kF32);
    EXPECT_EQ(first.shape, (std::vector<int64_t>{2, 3})) << "outermost first";
    EXPECT_EQ(first.bytes.size(), 24u);
    EXPECT_EQ(static_cast<char>(first.bytes[23]), 'a');
    const TensorView& second = *file.find("b");
    EXPECT_EQ(&second, &file.tensors()[1]);
    EXPECT_EQ(second.dtype, DType::kQ8_0);
    EXPECT_EQ(second.shape, (std::vector<int64_t>{2, 32}));
    EXPECT_EQ(second.bytes.size(), 68u) << "34 bytes for each block of 32";
    EXPECT_EQ(static_cast<char>(second.bytes[0]), 'b');
    EXPECT_EQ(file.find("c"), nullptr);
  }
}

TEST_F(Gguf, ReadsValuesOfEveryType) {
  const GgufFile file = read(good_file().text());
  EXPECT_EQ(file.whole("u8"), 200u);
  EXPECT_EQ(file.whole("u16"), 60000u);
  EXPECT_EQ(file.whole("u32"), 4000000000u);
  EXPECT_EQ(file.whole("u64"), ~uint64_t{0});
  EXPECT_EQ(std::get<int8_t>(*file.value("i8")), -3);
  EXPECT_EQ(std::get<int16_t>(*file.value("i16")), -300);
  EXPECT_EQ(std::get<int32_t>(*file.value("i32")), -70000);
  EXPECT_EQ(std::get<int64_t>(*file.value("i64")), -5);
  EXPECT_EQ(file.real("f32"), 0.5);
  EXPECT_EQ(file.real("f64"), 0.25);
  EXPECT_EQ(file.boolean("bool"), true);
  EXPECT_EQ(file.text("string"), "llama");
  const GgufArray& numbers = *file.array("numbers", GgufType::kI32);
  EXPECT_EQ(numbers.size(), 2u);
  EXPECT_EQ(load_unaligned<int32_t>(numbers.numbers.data() + 4), -2);
  EXPECT_EQ(file.array("texts", GgufType::kString)->strings, (std::vector<std::string_view>{"a", ""}));
  EXPECT_EQ(file.array("nested", GgufType::kArray)->arrays[0].size(), 3u);
  EXPECT_EQ(file.whole("nothing"), std::nullopt);
  EXPECT_EQ(file.array("nothing", GgufType::kI32), nullptr);
}

TEST_F(Gguf, AValueOfAnotherTypeIsNamed) {
  const GgufFile file = read(good_file().text());
  const auto expect = [](std::string_view message, auto action) {
    test::expect_error(ErrorCode::kCorruptFile, message, action);
  };
  expect("string: expected a whole number, got a value of type string", [&] { file.whole("string"); });
  expect("i32: expected a whole number from 0, got -70000", [&] { file.whole("i32"); });
  expect("bool: expected a whole number", [&] { file.whole("bool"); });
  expect("u32: expected an f32 or f64, got a value of type u32", [&] { file.real("u32"); });
  expect("u8: expected a bool", [&] { file.boolean("u8"); });
  expect("texts: expected a string, got an array of string", [&] { file.text("texts"); });
  expect("texts: expected an array of i32, got an array of string",
         [&] { file.array("texts", GgufType::kI32); });
  expect("u8: expected an array of i32", [&] { file.array("u8", GgufType::kI32); });
}

TEST_F(Gguf, AKeyWithALineBreakIsQuotedInOneLine) {
  const GgufFile file = read(
      GgufBytes{.keys = {gguf_key("a\nb", 8, gguf_text("x")), gguf_key("c\nd", 5, raw<int32_t>(-1))}}.text());
  test::expect_error(ErrorCode::kCorruptFile, "a\\x0ab: expected a bool", [&] { file.boolean("a\nb"); });
  test::expect_error(ErrorCode::kCorruptFile, "c\\x0ad: expected a whole number from 0",
                     [&] { file.whole("c\nd"); });
}

TEST_F(Gguf, KnowsAGgufFileByItsFirstBytes) {
  EXPECT_TRUE(GgufFile::is_gguf(folder_.write("a", good_file().text())));
  EXPECT_FALSE(GgufFile::is_gguf(folder_.write("b", "GGU")));
  EXPECT_FALSE(GgufFile::is_gguf(folder_.write("c", "{}")));
  EXPECT_FALSE(GgufFile::is_gguf(folder_.path()));
  EXPECT_FALSE(GgufFile::is_gguf(folder_.path() / "nothing"));
}

TEST_F(Gguf, AFileWithoutTensorsOrKeysIsRight) {
  EXPECT_TRUE(read(GgufBytes().text()).tensors().empty());
  std::string unpadded = GgufBytes().text(0, 0).substr(0, 24);
  EXPECT_TRUE(read(unpadded).metadata().empty());
}

TEST_F(Gguf, AnotherAlignmentMovesTheData) {
  GgufBytes file;
  file.keys = {gguf_key("general.alignment", 4, raw<uint32_t>(128))};
  file.tensors = {gguf_tensor("a", {4}, kF32, 128)};
  file.alignment = 128;
  file.data = std::string(128, '\0') + std::string(16, 'a');
  EXPECT_EQ(static_cast<char>(read(file.text()).find("a")->bytes[0]), 'a');
}

TEST_F(Gguf, EveryCutIsAnError) {
  const std::string whole = good_file().text();
  read(whole);
  for (std::size_t n_bytes = 0; n_bytes < whole.size(); ++n_bytes) {
    SCOPED_TRACE(n_bytes);
    EXPECT_THROW(read(whole.substr(0, n_bytes)), Error);
  }
}

TEST_F(Gguf, OtherFilesAndVersions) {
  expect_fault("", "magic: expected 4 bytes at offset 0, got 0");
  expect_fault(std::string("{\"a\":") + std::string(40, ' '), "magic: expected \"GGUF\", got \"{\"a\"\"");
  GgufBytes file = good_file();
  file.version = 1;
  expect_fault(file.text(), "version: expected 2 or 3, got 1", ErrorCode::kUnsupported);
  file.version = 4;
  expect_fault(file.text(), "version: expected 2 or 3, got 4", ErrorCode::kUnsupported);
  file.version = 0;
  expect_fault(file.text(), "version: expected 2 or 3, got 0", ErrorCode::kUnsupported);
  file.version = 0x03000000;
  expect_fault(file.text(), "expected a little-endian file, got a big-endian one of version 3",
               ErrorCode::kUnsupported);
}

TEST_F(Gguf, CountsBeyondTheFile) {
  for (const uint64_t count : {uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 63, ~uint64_t{0}}) {
    SCOPED_TRACE(count);
    const GgufBytes file = good_file();
    expect_fault(file.text(count, file.keys.size()), fmt::format("got {}", count));
    expect_fault(file.text(file.tensors.size(), count), "number of keys: expected at most");
    // Lengths: of a key, of a text, of an array of each kind, of a tensor's name.
    expect_fault(GgufBytes{.keys = {raw(count) + "abc" + std::string(20, 'x')}}.text(),
                 "key 0: expected at most");
    expect_key_fault(gguf_key("k", 8, raw(count) + "abc"), "key \"k\": expected at most");
    for (const uint32_t type : {0u, 5u, 7u, 8u, 9u, 12u})
      expect_key_fault(gguf_key("k", 9, raw(type) + raw(count) + "abcdefgh"), "key \"k\": expected at most");
    expect_key_fault(gguf_key("k", 9, raw<uint32_t>(8) + raw<uint64_t>(1) + raw(count) + "ab"),
                     "key \"k\": expected at most");
    expect_tensor_fault(raw(count) + std::string(40, 'n'), "tensor 0: expected at most");
  }
}

TEST_F(Gguf, BadKeys) {
  expect_key_fault(gguf_key("k", 13, "x"), "key \"k\": expected a type of value from 0 to 12, got 13");
  expect_key_fault(gguf_key("k", 9, raw<uint32_t>(99) + raw<uint64_t>(0)),
                   "expected a type of value from 0 to 12, got 99");
  expect_key_fault(gguf_key("", 0, "x"), "key \"\": expected 1 to 65535 bytes of UTF-8, got 0 bytes");
  expect_key_fault(gguf_key("\xff", 0, "x"), "key \"\\xff\": expected 1 to 65535 bytes of UTF-8");
  expect_key_fault(gguf_key(std::string(65536, 'k'), 0, "x"), "got 65536 bytes");
  expect_key_fault(gguf_key("k", 7, raw<uint8_t>(2)), "key \"k\": expected a bool of 0 or 1, got 2");
  expect_fault(GgufBytes{.keys = {gguf_key("k", 0, "x"), gguf_key("k", 1, "x")}}.text(),
               "key \"k\": expected every key once, got it twice");
}

TEST_F(Gguf, ArraysMayBeFourDeep) {
  const auto nested = [](int depth) {
    std::string array = raw<uint32_t>(0) + raw<uint64_t>(0);
    for (int level = 1; level < depth; ++level) array = raw<uint32_t>(9) + raw<uint64_t>(1) + array;
    return gguf_key("k", 9, array);
  };
  EXPECT_NO_THROW(read(GgufBytes{.keys = {nested(4)}}.text()));
  expect_key_fault(nested(5), "key \"k\": expected arrays at most 4 deep, got more");
  expect_key_fault(nested(1000), "key \"k\": expected arrays at most 4 deep, got more");
}

TEST_F(Gguf, BadAlignment) {
  constexpr std::string_view kWanted =
      "general.alignment: expected a u32, a power of two from 8 to 65536, got ";
  for (const uint32_t alignment : {0u, 1u, 3u, 24u, 1u << 17, 1u << 31})
    expect_key_fault(gguf_key("general.alignment", 4, raw(alignment)),
                     fmt::format("{}{}", kWanted, alignment));
  expect_key_fault(gguf_key("general.alignment", 10, raw<uint64_t>(32)),
                   fmt::format("{}a value of type u64", kWanted));
  expect_key_fault(gguf_key("general.alignment", 8, gguf_text("32")), "got a value of type string");
}

TEST_F(Gguf, BadTensors) {
  expect_tensor_fault(gguf_tensor("t", {}, kF32, 0) + std::string(8, '\0'),
                      "tensor \"t\": expected 1 to 4 dimensions, got 0");
  expect_tensor_fault(gguf_tensor("t", {1, 1, 1, 1, 1}, kF32, 0), "expected 1 to 4 dimensions, got 5");
  expect_tensor_fault(gguf_text("t") + raw<uint32_t>(~0u) + std::string(40, 'x'), "got 4294967295");
  expect_tensor_fault(gguf_tensor("", {1}, kF32, 0),
                      "expected a name of 1 to 63 bytes of UTF-8, got 0 bytes");
  expect_tensor_fault(gguf_tensor(std::string(64, 't'), {1}, kF32, 0), "got 64 bytes");
  expect_tensor_fault(gguf_tensor("t\xff", {1}, kF32, 0), "tensor \"t\\xff\": expected a name");
  expect_tensor_fault(gguf_tensor("t", {0}, kF32, 0),
                      "expected extents from 1 whose product is at most 2^60, got (0)");
  expect_tensor_fault(gguf_tensor("t", {48}, kQ8_0, 0), "expected rows of a multiple of 32 for Q8_0, got 48");
  expect_tensor_fault(gguf_tensor("t", {640}, kQ6_K, 0),
                      "expected rows of a multiple of 256 for Q6_K, got 640");
  expect_tensor_fault(gguf_tensor("t", {4}, kF32, 16),
                      "expected an offset that is a multiple of the alignment, 32, got 16");
  for (const uint32_t type : {4u, 5u, 9u, 10u, 11u, 15u, 16u, 31u, 39u, 1u << 31, ~0u})
    expect_tensor_fault(gguf_tensor("t", {256}, type, 0), fmt::format("got ggml's number {}", type),
                        ErrorCode::kUnsupported);
}

TEST_F(Gguf, SizesBeyondTheFile) {
  expect_tensor_fault(gguf_tensor("t", {17}, kF32, 0),
                      "expected 68 bytes from offset 0 on within the 64 bytes of data");
  expect_tensor_fault(gguf_tensor("t", {9}, kF32, 32),
                      "expected 36 bytes from offset 32 on within the 64 bytes of data");
  expect_tensor_fault(gguf_tensor("t", {1}, kF32, 96), "from offset 96 on within the 64 bytes of data");
  expect_tensor_fault(gguf_tensor("t", {1}, kF32, ~uint64_t{0} - 31), "from offset 18446744073709551584 on");
  for (const uint64_t extent : {uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 60})
    expect_tensor_fault(gguf_tensor("t", {extent}, kF32, 0), "within the 64 bytes of data");
  for (const uint64_t extent : {uint64_t{1} << 61, uint64_t{1} << 63, ~uint64_t{0} - 255})
    expect_tensor_fault(gguf_tensor("t", {extent}, kF32, 0),
                        "expected extents from 1 whose product is at most 2^60");
  expect_tensor_fault(gguf_tensor("t", {uint64_t{1} << 32, uint64_t{1} << 32}, kF32, 0), "at most 2^60");
  // Two tensors whose padded sizes add up to more than 64 bits can tell.
  GgufBytes file;
  file.tensors = {gguf_tensor("a", {uint64_t{1} << 60}, kF32, 0),
                  gguf_tensor("b", {uint64_t{1} << 60}, kF32, 1ull << 62),
                  gguf_tensor("c", {uint64_t{1} << 60}, kF32, 1ull << 63),
                  gguf_tensor("d", {uint64_t{1} << 60}, kF32, 3ull << 62)};
  file.data = std::string(64, 'x');
  expect_fault(file.text(),
               "tensor \"a\": expected 4611686018427387904 bytes from offset 0 on within the 64 bytes");
}

TEST_F(Gguf, TensorsThatMeetOrShareAName) {
  GgufBytes file;
  file.data = std::string(96, 'x');
  file.tensors = {gguf_tensor("a", {9}, kF32, 0), gguf_tensor("b", {1}, kF32, 32)};
  expect_fault(file.text(),
               "tensor \"b\": expected data from offset 36 on, where the tensor before it ends, got 32");
  file.tensors = {gguf_tensor("a", {1}, kF32, 0), gguf_tensor("b", {1}, kF32, 0)};
  expect_fault(file.text(), "which overlaps it");
  file.tensors = {gguf_tensor("a", {1}, kF32, 0), gguf_tensor("a", {1}, kF32, 32)};
  expect_fault(file.text(), "tensor \"a\": expected every name once, got it twice");
}

TEST_F(Gguf, NoSuchFile) {
  test::expect_error(ErrorCode::kNotFound, "nothing.gguf",
                     [&] { GgufFile(folder_.path() / "nothing.gguf"); });
}

}  // namespace
}  // namespace lille
