#include <gtest/gtest.h>

#include "io/gguf.h"
#include "io/gguf_bytes.h"
#include "support.h"

namespace lille {
namespace {

using test::gguf_key;
using test::gguf_tensor;
using test::gguf_text;
using test::GgufBytes;
using test::raw;

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

GgufTensorToSave tensor(const std::string& name, DType dtype, std::vector<int64_t> shape, std::string text) {
  return {name, dtype, std::move(shape), [text = std::move(text)] { return bytes_of(text); }};
}

class SaveGguf : public testing::Test {
 protected:
  std::string save(std::span<const std::pair<std::string, GgufValue>> metadata,
                   std::span<const GgufTensorToSave> tensors) {
    const std::filesystem::path path = folder_.path() / "x.gguf";
    save_gguf(path, metadata, tensors);
    return test::read_file(path);
  }

  void expect_refused(const GgufTensorToSave& refused, std::string_view message) {
    test::expect_error(ErrorCode::kInvalidArgument, message, [&] { save({}, std::span(&refused, 1)); });
    EXPECT_TRUE(std::filesystem::is_empty(folder_.path())) << "nothing is left behind";
  }

  test::TemporaryFolder folder_;
};

TEST_F(SaveGguf, WritesWhatTheFormatSays) {
  const std::array<int32_t, 2> numbers = {1, -2};
  const std::vector<std::pair<std::string, GgufValue>> metadata = {
      {"u32", uint32_t{7}},
      {"yes", true},
      {"text", std::string_view("llama")},
      {"numbers", GgufArray{GgufType::kI32, std::as_bytes(std::span(numbers)), {}, {}}},
      {"texts", GgufArray{GgufType::kString, {}, {"a", ""}, {}}},
      {"f64", 0.25}};
  const std::vector<GgufTensorToSave> tensors = {tensor("a", DType::kF32, {2, 3}, std::string(24, 'a')),
                                                 tensor("b", DType::kQ8_0, {2, 32}, std::string(68, 'b'))};
  GgufBytes expected;
  expected.keys = {
      gguf_key("u32", 4, raw<uint32_t>(7)),
      gguf_key("yes", 7, raw<uint8_t>(1)),
      gguf_key("text", 8, gguf_text("llama")),
      gguf_key("numbers", 9, raw<uint32_t>(5) + raw<uint64_t>(2) + raw<int32_t>(1) + raw<int32_t>(-2)),
      gguf_key("texts", 9, raw<uint32_t>(8) + raw<uint64_t>(2) + gguf_text("a") + gguf_text("")),
      gguf_key("f64", 12, raw<double>(0.25))};
  expected.tensors = {gguf_tensor("a", {3, 2}, 0, 0), gguf_tensor("b", {32, 2}, 8, 32)};
  expected.data = std::string(24, 'a') + std::string(8, '\0') + std::string(68, 'b') + std::string(28, '\0');
  const std::string written = save(metadata, tensors);
  EXPECT_EQ(written, expected.text());
  EXPECT_EQ(save(metadata, tensors), written) << "the same again";
}

TEST_F(SaveGguf, RefusesWhatTheFormatCannotHold) {
  expect_refused(tensor("", DType::kF32, {1}, "1234"), "tensor \"\": expected 1 to 63 bytes");
  expect_refused(tensor(std::string(64, 'n'), DType::kF32, {1}, "1234"), "expected 1 to 63 bytes");
  expect_refused(tensor("t", DType::kF32, {}, "1234"), "one to 4 positive extents");
  expect_refused(tensor("t", DType::kF32, {1, 1, 1, 1, 1}, "1234"), "one to 4 positive extents");
  expect_refused(tensor("t", DType::kF32, {0}, ""), "one to 4 positive extents");
  expect_refused(tensor("t", DType::kU32, {1}, "1234"), "expected a type of GGUF");
  expect_refused(tensor("t", DType::kQ8_0, {2, 100}, ""), "the last a multiple of 32, got (2, 100) of Q8_0");
  expect_refused(tensor("t", DType::kF32, {int64_t{1} << 62, 4}, ""), "one to 4 positive extents");
  expect_refused(tensor("t", DType::kF32, {2}, "1234"), "expected 8 bytes for (2) of F32, got 4");
}

TEST_F(SaveGguf, RefusesNamesThatStandTwice) {
  const std::vector<GgufTensorToSave> tensors = {tensor("t", DType::kF32, {1}, "1234"),
                                                 tensor("t", DType::kF32, {1}, "1234")};
  test::expect_error(ErrorCode::kInvalidArgument, "tensor \"t\": expected it once, got it twice",
                     [&] { save({}, tensors); });
  const std::vector<std::pair<std::string, GgufValue>> metadata = {{"k", true}, {"k", false}};
  test::expect_error(ErrorCode::kInvalidArgument, "key \"k\": expected it once", [&] { save(metadata, {}); });
}

}  // namespace
}  // namespace lille
