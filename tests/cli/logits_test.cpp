#include <cmath>

#include "cli/program.h"
#include "io/safetensors.h"

namespace lille::test {
namespace {

constexpr float kGoldenTolerance = 3e-4F;  // ../shared/golden/mlx/README.md, logits and hidden states of toy

std::string bytes_of(const SafetensorsFile& file, const std::string& name) {
  const TensorView& tensor = file.at(name);
  return {reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()};
}

template <typename T>
std::vector<T> values_of(const SafetensorsFile& file, const std::string& name) {
  const std::string bytes = bytes_of(file, name);
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

std::string comma_list(const std::vector<int32_t>& ids) {
  const std::string array = nlohmann::json(ids).dump();
  return array.substr(1, array.size() - 2);
}

void expect_tensor(const SafetensorsFile& file, const std::string& name, DType dtype,
                   const std::vector<int64_t>& shape) {
  ASSERT_TRUE(file.contains(name)) << name;
  EXPECT_EQ(dtype_name(file.at(name).dtype), dtype_name(dtype)) << name;
  EXPECT_EQ(file.at(name).shape, shape) << name;
}

void expect_near(const std::vector<float>& actual, const std::vector<float>& wanted,
                 const std::string& what) {
  ASSERT_EQ(actual.size(), wanted.size()) << what;
  for (std::size_t idx = 0; idx < actual.size(); ++idx)
    ASSERT_NEAR(actual[idx], wanted[idx], kGoldenTolerance) << what << "[" << idx << "]";
}

// Runs the command with an output of its own and opens what it wrote.
SafetensorsFile logits_of(std::vector<std::string> arguments, const TemporaryFolder& folder,
                          const std::string& file_name = "out.safetensors") {
  const auto output = folder.path() / file_name;
  arguments.insert(arguments.begin(), "logits");
  arguments.insert(arguments.end(), {"--output", output});
  EXPECT_EQ(output_of(arguments), "");
  return SafetensorsFile(output);
}

TEST(Logits, NamesDtypesAndShapes) {
  const TemporaryFolder folder;
  const SafetensorsFile file = logits_of({"--ids", "1,2,3", "--hidden", "--model", toy_model()}, folder);
  expect_tensor(file, "ids", DType::kI32, {3});
  expect_tensor(file, "logits", DType::kF32, {3, 512});
  for (const char* name : {"hidden_0", "hidden_1", "hidden_2", "hidden_3", "hidden_norm"})
    expect_tensor(file, name, DType::kF32, {3, 128});
  EXPECT_EQ(file.tensors().size(), 7U);
  EXPECT_EQ(values_of<int32_t>(file, "ids"), (std::vector<int32_t>{1, 2, 3}));
}

TEST(Logits, WithoutHiddenOnlyIdsAndLogits) {
  const TemporaryFolder folder;
  EXPECT_EQ(logits_of({"--ids", "5", "--model", toy_model()}, folder).tensors().size(), 2U);
}

TEST(Logits, EqualToMlx) {
  const TemporaryFolder folder;
  const SafetensorsFile golden(toy_model() / "expected.safetensors");
  for (const std::string sequence : {"seq0", "seq1", "seq2", "seq3"}) {
    const std::string ids = comma_list(values_of<int32_t>(golden, sequence + ".tokens"));
    const SafetensorsFile file =
        logits_of({"--ids", ids, "--hidden", "--model", toy_model()}, folder, sequence);
    expect_near(values_of<float>(file, "logits"), values_of<float>(golden, sequence + ".logits"), sequence);
    if (!golden.contains(sequence + ".hidden")) continue;
    std::vector<float> hidden;
    for (const char* name : {"hidden_0", "hidden_1", "hidden_2", "hidden_3", "hidden_norm"}) {
      const std::vector<float> state = values_of<float>(file, name);
      hidden.insert(hidden.end(), state.begin(), state.end());
    }
    expect_near(hidden, values_of<float>(golden, sequence + ".hidden"), sequence + ".hidden");
  }
}

TEST(Logits, SeveralRowsHaveTheBitsOfSingleRuns) {
  const TemporaryFolder folder;
  const std::vector<std::string> rows = {"1,2,3,4,5,6,7", "9", "500,400,300"};
  std::vector<std::string> arguments = {"--model", toy_model(), "--hidden"};
  for (const std::string& row : rows) arguments.insert(arguments.end(), {"--ids", row});
  const SafetensorsFile together = logits_of(arguments, folder);
  EXPECT_EQ(together.tensors().size(), 7U * rows.size());
  for (std::size_t row_idx = 0; row_idx < rows.size(); ++row_idx) {
    const std::string suffix = std::string(".").append(std::to_string(row_idx));
    const SafetensorsFile single = logits_of({"--ids", rows[row_idx], "--hidden", "--model", toy_model()},
                                             folder, std::string("single").append(suffix));
    for (const TensorView& tensor : single.tensors()) {
      EXPECT_EQ(together.at(tensor.name + suffix).shape, tensor.shape);
      EXPECT_TRUE(bytes_of(together, tensor.name + suffix) == bytes_of(single, tensor.name))
          << tensor.name + suffix;
    }
  }
}

TEST(Logits, AnyThreadsGiveTheSameBits) {
  const TemporaryFolder folder;
  const std::string wanted =
      bytes_of(logits_of({"--ids", "7454,2402,257", "--threads", "1"}, folder, "1"), "logits");
  for (const char* n_threads : {"2", "7"})
    EXPECT_TRUE(bytes_of(logits_of({"--ids", "7454,2402,257", "--threads", n_threads}, folder, n_threads),
                         "logits") == wanted)
        << n_threads;
}

TEST(Logits, PromptIsItsTokens) {
  const TemporaryFolder folder;
  const SafetensorsFile prompt = logits_of({"--prompt", "Once upon a time"}, folder, "prompt");
  const SafetensorsFile ids = logits_of({"--ids", "7454,2402,257,640"}, folder, "ids");
  EXPECT_EQ(values_of<int32_t>(prompt, "ids"), values_of<int32_t>(ids, "ids"));
  EXPECT_TRUE(bytes_of(prompt, "logits") == bytes_of(ids, "logits"));
  const SafetensorsFile with_bos = logits_of({"--prompt", "Once upon a time", "--bos"}, folder, "bos");
  EXPECT_EQ(values_of<int32_t>(with_bos, "ids"), (std::vector<int32_t>{32767, 7454, 2402, 257, 640}));
}

TEST(Logits, LayoutsDifferOnOneModel) {
  const TemporaryFolder folder;
  const std::vector<std::string> common = {"--ids", "1,2,3,4", "--model", toy_model(), "--rope"};
  std::vector<std::string> bits;
  for (const char* layout : {"interleaved", "half", "original"}) {
    std::vector<std::string> arguments = common;
    arguments.emplace_back(layout);
    bits.push_back(bytes_of(logits_of(arguments, folder, layout), "logits"));
  }
  EXPECT_NE(bits[0], bits[1]);
  EXPECT_NE(bits[0], bits[2]);
  EXPECT_NE(bits[1], bits[2]);
}

TEST(Logits, FullDiskLeavesNothing) {
  const TemporaryFolder folder;
  const auto target = folder.path() / "out.safetensors";
  RunOptions options;
  // A limit on the size of files, 8 blocks of 512 bytes, is a full disk that needs no disk.
  options.wrapper = {"/bin/sh", "-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""};
  expect_failure(kFailed, target.string() + ": File too large. Nothing was written",
                 {"logits", "--ids", "1", "--output", target}, options);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Logits, FullDiskKeepsTheFileThatWasThere) {
  const TemporaryFolder folder;
  const auto target = folder.write("out.safetensors", "precious");
  RunOptions options;
  options.wrapper = {"/bin/sh", "-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""};
  expect_failure(kFailed, "Nothing was written", {"logits", "--ids", "1", "--output", target}, options);
  EXPECT_EQ(read_file(target), "precious");
}

TEST(Logits, ReplacesAFileAtOnce) {
  const TemporaryFolder folder;
  const auto target = folder.write("out.safetensors", "old");
  std::filesystem::create_hard_link(target, folder.path() / "old content");
  const SafetensorsFile file = logits_of({"--ids", "1", "--model", toy_model()}, folder);
  expect_tensor(file, "logits", DType::kF32, {1, 512});
  EXPECT_EQ(read_file(folder.path() / "old content"), "old")
      << "the file was written over instead of replaced";
}

TEST(Logits, OutputThatCannotBe) {
  const TemporaryFolder folder;
  expect_failure(kFailed, "no such folder",
                 {"logits", "--ids", "1", "--output", folder.path() / "none" / "out"});
  expect_failure(kWrongUsage, "got a folder", {"logits", "--ids", "1", "--output", folder.path()});
  expect_failure(kWrongUsage, "got a device", {"logits", "--ids", "1", "--output", "/dev/null"});
  expect_failure(kWrongUsage, "an empty path", {"logits", "--ids", "1", "--output", ""});
  expect_failure(kWrongUsage, "--output is required", {"logits", "--ids", "1"});
}

TEST(Logits, BadIds) {
  const TemporaryFolder folder;
  const std::string target = folder.path() / "out";
  const auto expect_bad = [&](const std::string& ids, const std::string& part) {
    expect_failure(kWrongUsage, part, {"logits", "--ids", ids, "--output", target});
  };
  expect_bad("1,40000", "expected token ids from 0 to 32767, got 40000");
  expect_bad("32768", "expected token ids from 0 to 32767, got 32768");
  expect_bad("-1", "expected token ids from 0 to 32767, got -1");
  expect_bad("", "--ids: expected token ids with commas between them, got \"\"");
  expect_bad("1,,2", "--ids: expected token ids with commas between them, got \"\"");
  expect_bad("1,2,", "--ids: expected token ids with commas between them, got \"\"");
  expect_bad("1,x", "--ids: expected token ids with commas between them, got \"x\"");
  expect_bad("1.5", "got \"1.5\"");
  expect_bad("2147483648", "got \"2147483648\"");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Logits, RowsThatCannotBe) {
  const TemporaryFolder folder;
  const std::string target = folder.path() / "out";
  expect_failure(kWrongUsage, "logits: expected --ids or --prompt", {"logits", "--output", target});
  expect_failure(kWrongUsage, "--prompt: expected a text, got an empty one",
                 {"logits", "--prompt", "", "--output", target});
  expect_failure(kWrongUsage, "--prompt: expected UTF-8 text, got the byte 0x80",
                 {"logits", "--prompt", "\x80", "--output", target});
  expect_failure(kWrongUsage, "not expected: upon",
                 {"logits", "--prompt", "once", "upon", "--output", target});
  std::string ids = "1";
  for (int idx = 0; idx < 64; ++idx) ids += ",1";
  expect_failure(kWrongUsage, "64", {"logits", "--ids", ids, "--model", toy_model(), "--output", target});
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace lille::test
