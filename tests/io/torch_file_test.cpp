#include "io/torch_file.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "io/safetensors.h"
#include "io/torch_archive.h"
#include "support.h"

namespace lille {
namespace {

using test::expect_error;
using test::source_path;
using test::torch_dict;
using test::torch_str;
using test::torch_tensor;
using test::torch_zip;
using test::TorchWindow;

TorchFile real_file(std::string_view name) { return TorchFile(source_path("tests/golden/torch/pt") / name); }

const TensorView& tensor_of(const TorchFile& file, std::string_view name) {
  const auto found = std::ranges::find(file.tensors(), name, &TensorView::name);
  if (found == file.tensors().end()) throw std::logic_error("no tensor " + std::string(name));
  return *found;
}

float element(const TensorView& view, std::size_t idx) {
  const std::byte* bytes = view.bytes.data();
  if (view.dtype == DType::kF32) return load_unaligned<float>(bytes + 4 * idx);
  if (view.dtype == DType::kF64) return static_cast<float>(load_unaligned<double>(bytes + 8 * idx));
  const auto bits = load_unaligned<uint16_t>(bytes + 2 * idx);
  return view.dtype == DType::kBF16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

/// The formula of make_pt.py.
float value(int64_t idx, int64_t seed) { return static_cast<float>((idx * 7 + seed) % 61 - 30) / 64.0f; }

void expect_values(const TensorView& view, int64_t seed, const std::vector<int64_t>& shape) {
  EXPECT_EQ(view.shape, shape);
  ASSERT_EQ(view.bytes.size(), static_cast<std::size_t>(view.n_elements() * dtype_bytes(view.dtype)));
  for (int64_t idx = 0; idx < view.n_elements(); ++idx)
    ASSERT_EQ(element(view, static_cast<std::size_t>(idx)), value(idx, seed)) << view.name << " at " << idx;
}

struct Parameter {
  const char* name;
  std::vector<int64_t> shape;
};

/// In the order of make_pt.py.
const std::vector<Parameter> kParameters = {{"tok_embeddings", {96, 64}},
                                            {"layers.0.attention.norm", {64}},
                                            {"layers.0.attention.qkv_proj", {128, 64}},
                                            {"layers.0.attention.out_proj", {64, 64}},
                                            {"layers.0.feed_forward.norm", {64}},
                                            {"layers.0.feed_forward.gate_proj", {256, 64}},
                                            {"layers.0.feed_forward.up_proj", {256, 64}},
                                            {"layers.0.feed_forward.down_proj", {64, 256}},
                                            {"norm", {64}}};

TEST(TorchFile, ReadsTheCheckpointsOfTheTrainingScript) {
  for (const auto& [name, prefix, dtype] : {std::tuple("best_model.pt", "", DType::kF32),
                                            std::tuple("ckpt_final.pt", "_orig_mod.", DType::kBF16)}) {
    const TorchFile file = real_file(name);
    EXPECT_EQ(file.tensors().size(), kParameters.size() + 2);  // rotary_emb.inv_freq and lm_head.weight
    for (std::size_t seed = 0; seed < kParameters.size(); ++seed) {
      const TensorView& view = tensor_of(file, std::string(prefix) + kParameters[seed].name + ".weight");
      EXPECT_EQ(view.dtype, dtype);
      expect_values(view, static_cast<int64_t>(seed), kParameters[seed].shape);
    }
    const TensorView& head = tensor_of(file, std::string(prefix) + "lm_head.weight");
    EXPECT_EQ(head.bytes.data(), tensor_of(file, std::string(prefix) + "tok_embeddings.weight").bytes.data());
    const ModelArgs args = file.model_args().value();
    EXPECT_EQ(args.n_embd, 64);
    EXPECT_EQ(args.n_layer, 1);
    EXPECT_EQ(args.n_head, 4);
    EXPECT_EQ(args.n_kv_heads, 2);
    EXPECT_EQ(args.vocab_size, 96);
    EXPECT_EQ(args.block_size, 32);
    EXPECT_EQ(args.rope_theta, 10000.0);
    EXPECT_EQ(args.layer_norm_eps, 1e-5f);
    file.check_content();
  }
}

TEST(TorchFile, ReadsEveryKindOfTensor) {
  for (const char* name : {"variety.pt", "protocol4.pt", "no_crc.pt"}) {
    const TorchFile file = real_file(name);
    EXPECT_FALSE(file.model_args());
    ASSERT_EQ(file.tensors().size(), 14u);
    expect_values(tensor_of(file, "whole"), 3, {6, 8});
    expect_values(tensor_of(file, "a"), 3, {8});
    const TensorView& transposed = tensor_of(file, "t");
    EXPECT_EQ(transposed.shape, (std::vector<int64_t>{8, 6}));
    for (std::size_t row = 0; row < 8; ++row)
      for (std::size_t column = 0; column < 6; ++column)
        EXPECT_EQ(element(transposed, row * 6 + column), value(static_cast<int64_t>(column * 8 + row), 3));
    const TensorView& slice = tensor_of(file, "slice");  // [1:5:2, ::3]
    EXPECT_EQ(slice.shape, (std::vector<int64_t>{2, 3}));
    for (std::size_t row = 0; row < 2; ++row)
      for (std::size_t column = 0; column < 3; ++column)
        EXPECT_EQ(element(slice, row * 3 + column),
                  value(static_cast<int64_t>((1 + 2 * row) * 8 + 3 * column), 3));
    expect_values(tensor_of(file, "f16"), 1, {5});
    expect_values(tensor_of(file, "bf16"), 2, {5});
    expect_values(tensor_of(file, "f64"), 3, {5});
    expect_values(tensor_of(file, "scalar"), 9, {});
    expect_values(tensor_of(file, "p"), 5, {3, 2});
    EXPECT_EQ(tensor_of(file, "p").bytes.data(), tensor_of(file, "p2").bytes.data());
    EXPECT_EQ(tensor_of(file, "empty").bytes.size(), 0u);
    EXPECT_EQ(tensor_of(file, "i64").dtype, DType::kI64);
    EXPECT_EQ(tensor_of(file, "u8").dtype, DType::kU8);
    EXPECT_EQ(tensor_of(file, "bool").dtype, DType::kBool);
  }
}

TEST(TorchFile, RealFilesThatAreRefused) {
  const auto refused = [](std::string_view name, std::string_view message) {
    expect_error(ErrorCode::kUnsupported, message, [&] { real_file(name); });
    expect_error(ErrorCode::kUnsupported, name, [&] { real_file(name); });
  };
  refused("system.pt", "expected a name that weights need, got posix.system");
  refused("numpy.pt", "expected a name that weights need, got numpy");
  refused("module.pt", "expected a name that weights need, got torch.nn.modules.linear.Linear");
  refused("float8.pt", "expected a name that weights need, got torch._utils._rebuild_tensor_v3");
  refused("complex.pt", "expected a name that weights need, got torch.ComplexFloatStorage");
  refused("jit.pt", "got a program of torch.jit.save");
  refused("expanded.pt", "an expanded tensor");
  refused("legacy.pt", "expected a zip file as torch.save has written since PyTorch 1.6");
}

TEST(TorchFile, DeflatedAndPrefixedCheckpointsHoldTheSameTensors) {
  const SafetensorsFile expected(source_path("tests/golden/torch/toy/model.safetensors"));
  const std::string args =
      test::model_args_opcodes(test::read_file(source_path("tests/golden/torch/toy/config.json")));
  for (const bool is_deflated : {false, true})
    for (const std::string prefix : {"", "module.", "_orig_mod.module."}) {
      const test::TemporaryFolder folder;
      const TorchFile file(folder.write(
          "best_model.pt", test::torch_checkpoint(expected.tensors(), args, prefix, is_deflated)));
      ASSERT_EQ(file.tensors().size(), expected.tensors().size());
      for (const TensorView& tensor : expected.tensors()) {
        const TensorView& read =
            tensor_of(file, prefix + tensor.name.substr(std::string("transformer.").size()));
        EXPECT_EQ(read.shape, tensor.shape);
        EXPECT_TRUE(std::ranges::equal(read.bytes, tensor.bytes)) << tensor.name;
      }
      EXPECT_EQ(file.model_args(), ModelArgs::load(source_path("tests/golden/torch/toy/config.json")));
      file.check_content();
    }
}

TEST(TorchFile, StoredTensorsAreNotCopied) {
  const SafetensorsFile expected(source_path("tests/golden/torch/toy/model.safetensors"));
  const test::TemporaryFolder folder;
  const TorchFile file(folder.write("a.pt", test::torch_checkpoint(expected.tensors(), "")));
  const auto [first, last] =
      std::ranges::minmax(file.tensors(), {}, [](const TensorView& t) { return t.bytes.data(); });
  EXPECT_LT(last.bytes.data() - first.bytes.data(), 1'000'000);
  for (const TensorView& tensor : file.tensors())
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.bytes.data()) % 64, 0u);
}

/// One tensor "x" of four floats in a storage of `storage`.
std::string one_tensor(const TorchWindow& window, const std::string& storage) {
  return torch_zip(torch_dict(torch_str("x") + torch_tensor(window), true), std::vector{storage});
}

void expect_bad_file(const std::string& bytes, std::string_view message,
                     ErrorCode code = ErrorCode::kCorruptFile) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("a.pt", bytes);
  expect_error(code, message, [&] { TorchFile file(path); });
  expect_error(code, "a.pt: ", [&] { TorchFile file(path); });
}

TEST(TorchFile, StoragesThatDoNotFit) {
  const TorchWindow window = {.n_storage = 4, .shape = {4}, .strides = {1}};
  const test::TemporaryFolder folder;
  EXPECT_EQ(
      TorchFile(folder.write("a.pt", one_tensor(window, std::string(16, 'x')))).tensors()[0].n_elements(), 4);
  expect_bad_file(one_tensor(window, std::string(15, 'x')),
                  "\"x\": expected a storage data/0 of 4 elements of F32, got 15 bytes");
  expect_bad_file(one_tensor(window, std::string(20, 'x')), "got 20 bytes");
  expect_bad_file(one_tensor(window, ""), "got 0 bytes");
  expect_bad_file(
      one_tensor({.storage = "1", .n_storage = 4, .shape = {4}, .strides = {1}}, std::string(16, 'x')),
      "\"x\": expected the storage data/1, got none");
  expect_bad_file(one_tensor({.storage = "../data.pkl", .n_storage = 4, .shape = {4}, .strides = {1}},
                             std::string(16, 'x')),
                  "expected the storage data/../data.pkl, got none");
  expect_bad_file(one_tensor({.n_storage = INT64_MAX, .shape = {4}, .strides = {1}}, std::string(16, 'x')),
                  "of 9223372036854775807 elements of F32");
}

TEST(TorchFile, StridedTensorsNeedNoMoreThanTheStorages) {
  const TorchWindow transposed = {.n_storage = 4096, .shape = {64, 64}, .strides = {1, 64}};
  std::string items;
  for (int idx = 0; idx < 10; ++idx)
    items += torch_str(std::string(1, static_cast<char>('a' + idx))) + torch_tensor(transposed);
  expect_bad_file(torch_zip(torch_dict(items), std::vector{std::string(16384, 'x')}),
                  "expected strided tensors no larger than all storages together");
  // A dimension of one element may have any stride.
  const TorchWindow one = {.n_storage = 2, .shape = {2, 1, 1}, .strides = {1, INT64_MAX, INT64_MAX}};
  const test::TemporaryFolder folder;
  EXPECT_EQ(TorchFile(folder.write("a.pt", one_tensor(one, std::string(8, 'x')))).tensors()[0].bytes.size(),
            8u);
  const TorchWindow spread = {.n_storage = 3, .shape = {1, 2}, .strides = {INT64_MAX, 2}};
  const TorchFile file(folder.write("b.pt", one_tensor(spread, "aaaabbbbcccc")));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file.tensors()[0].bytes.data()), 8), "aaaacccc");
}

TEST(TorchFile, ArchivesThatAreNoCheckpoint) {
  const auto zip = [](std::vector<test::ZipMember> members) { return test::zip_bytes(members); };
  expect_bad_file(zip({{"word/document.xml", "x"}}),
                  "expected a member NAME/data.pkl, got a zip file of 1 members", ErrorCode::kUnsupported);
  expect_bad_file(zip({{"data.pkl", "x"}}), "expected a member NAME/data.pkl", ErrorCode::kUnsupported);
  expect_bad_file(zip({{"a/b/data.pkl", "x"}}), "expected a member NAME/data.pkl", ErrorCode::kUnsupported);
  expect_bad_file(zip({{"a/data.pkl", "x"}, {"b/data.pkl", "x"}}),
                  "expected one data.pkl, got a/data.pkl and b/");
  expect_bad_file(zip({{"a/data.pkl", "x"}, {"a/byteorder", "big"}}),
                  "byteorder: expected \"little\", got \"big\"", ErrorCode::kUnsupported);
  expect_bad_file(zip({{"a/data.pkl", "x"}}), "expected a pickle of protocol 2 to 5");
  expect_bad_file("", "begins with \"\"");
  expect_bad_file("<!DOCTYPE html>",
                  "expected a zip file as torch.save writes, got one that begins with \"<!DOCTYP");
  expect_bad_file("\x80\x02}.", "a file of the older form", ErrorCode::kUnsupported);
  expect_bad_file(std::string(257, 'x') + "ustar" + std::string(512, '\0'), "a file of the older form",
                  ErrorCode::kUnsupported);
}

TEST(TorchFile, ADamagedStorageIsFoundByCheckContent) {
  std::string bytes = one_tensor({.n_storage = 4, .shape = {4}, .strides = {1}}, "aaaabbbbccccdddd");
  bytes[bytes.find("bbbb")] = 'x';
  const test::TemporaryFolder folder;
  const TorchFile file(folder.write("a.pt", bytes));
  expect_error(ErrorCode::kCorruptFile, "\"toy/data/0\": expected the checksum",
               [&] { file.check_content(); });
}

TEST(TorchFile, AMissingFile) {
  expect_error(ErrorCode::kNotFound, "none.pt", [] { TorchFile("none.pt"); });
}

}  // namespace
}  // namespace lille
