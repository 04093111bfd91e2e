#include "model/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "model/golden.h"

namespace lille {
namespace {

ModelArgs lille_130m() {
  ModelArgs args;
  args.block_size = 512;
  args.layer_norm_eps = 1e-5F;
  args.n_embd = 640;
  args.n_head = 10;
  args.n_kv_heads = 2;
  args.n_layer = 24;
  args.rope_theta = 10000;
  args.vocab_size = 32768;
  return args;
}

TEST(ParameterTable, CountsLille130M) {
  int64_t n_parameters = 0;
  int64_t n_embedding = 0;
  int64_t n_first_block = 0;
  for (const ParameterSpec& spec : parameter_table(lille_130m())) {
    n_parameters += spec.n_parameters();
    if (spec.part == ParameterPart::kEmbedding) n_embedding += spec.n_parameters();
    if (spec.name.find("layers.0.") != std::string::npos) n_first_block += spec.n_parameters();
  }
  EXPECT_EQ(n_parameters, 127'171'200);
  EXPECT_EQ(n_embedding, 20'971'520);
  EXPECT_EQ(n_first_block, 4'424'960);
}

// A checkpoint of one tiny block, to be spoiled.
class MatchParameters : public testing::Test {
 protected:
  MatchParameters() {
    args_ = lille_130m();
    args_.n_embd = 128;
    args_.n_head = 2;
    args_.n_layer = 1;
    args_.vocab_size = 3;
    table_ = parameter_table(args_);
    for (const ParameterSpec& spec : table_)
      tensors_.push_back({spec.name + ".weight", {spec.name + ".weight", DType::kF32, spec.shape, {}, "f"}});
  }

  NamedTensor& at(std::string_view name) {
    for (NamedTensor& tensor : tensors_)
      if (tensor.name == name) return tensor;
    throw std::runtime_error("no such tensor");
  }
  void quantise(const std::string& name, std::vector<int64_t> codes, std::vector<int64_t> groups) {
    at(name + ".weight").view.dtype = DType::kU32;
    at(name + ".weight").view.shape = std::move(codes);
    tensors_.push_back({name + ".scales", {name + ".scales", DType::kBF16, groups, {}, "f"}});
    tensors_.push_back({name + ".biases", {name + ".biases", DType::kBF16, groups, {}, "f"}});
  }
  void expect_fault(std::string_view part) {
    test::expect_error(ErrorCode::kCorruptFile, part,
                       [&] { match_parameters(table_, tensors_, args_, "folder"); });
  }

  ModelArgs args_;
  std::vector<ParameterSpec> table_;
  std::vector<NamedTensor> tensors_;
  const std::string gate_ = "transformer.layers.0.feed_forward.gate_proj";
};

TEST_F(MatchParameters, FindsEveryParameterInAnyOrder) {
  std::ranges::reverse(tensors_);
  const std::vector<Parameter> parameters = match_parameters(table_, tensors_, args_, "folder");
  ASSERT_EQ(parameters.size(), table_.size());
  for (std::size_t idx = 0; idx < table_.size(); ++idx)
    EXPECT_EQ(parameters[idx].tensors.at(0).weight->name, table_[idx].name + ".weight");
}

TEST_F(MatchParameters, ReportsAllThatIsMissingOrExtraAtOnce) {
  at("transformer.norm.weight").name = "transformer.final_norm.weight";
  at(gate_ + ".weight").view.shape = {7, 128};
  expect_fault("transformer.norm.weight is missing");
  expect_fault("transformer.final_norm.weight is not a parameter of this model");
  expect_fault(gate_ + ".weight: expected (256, 128), got (7, 128)");
  expect_fault("same checkpoint?");
}

TEST_F(MatchParameters, TheSameFaultOfSeveralLayersIsToldOnce) {
  args_.n_layer = 4;
  table_ = parameter_table(args_);
  expect_fault("transformer.layers.{1,2,3}.attention.norm.weight is missing: expected (128)");
  expect_fault("transformer.layers.{1,2,3}.feed_forward.down_proj.weight is missing: expected (128, 256)");
}

TEST_F(MatchParameters, QueriesKeysAndValuesMayStandAlone) {
  const std::string attention = "transformer.layers.0.attention.";
  const auto split = [&](const std::string& name, int64_t n_out) {
    tensors_.push_back({attention + name, {name, DType::kF32, {n_out, 128}, {}, "f"}});
  };
  std::erase_if(tensors_,
                [&](const NamedTensor& tensor) { return tensor.name == attention + "qkv_proj.weight"; });
  split("v_proj.weight", 128);
  split("q_proj.weight", 128);
  expect_fault(attention + "k_proj.weight is missing: expected (128, 128)");
  split("k_proj.weight", 128);
  const std::vector<Parameter> parameters = match_parameters(table_, tensors_, args_, "folder");
  ASSERT_EQ(parameters[2].tensors.size(), 3u);
  for (const auto& [idx, name] :
       {std::pair(0, "q_proj.weight"), std::pair(1, "k_proj.weight"), std::pair(2, "v_proj.weight")})
    EXPECT_EQ(parameters[2].tensors.at(static_cast<std::size_t>(idx)).weight->name, name);
  tensors_.push_back({attention + "qkv_proj.weight", {"qkv", DType::kF32, {384, 128}, {}, "f"}});
  expect_fault(attention + "q_proj.weight is not a parameter of this model");
}

// The settings under the split names fit; those under the name of the whole do not and are not used.
TEST_F(MatchParameters, QuantisedSplitTensorsAreReadAsTheyWereChecked) {
  const std::string attention = "transformer.layers.0.attention.";
  std::erase_if(tensors_,
                [&](const NamedTensor& tensor) { return tensor.name == attention + "qkv_proj.weight"; });
  args_.quantization = QuantizationArgs{64, 4};
  args_.quantization->layers[attention + "q_proj"] = LayerQuantization{64, 2};
  args_.quantization->layers[attention + "k_proj"] = LayerQuantization{32, 8};
  struct Split {
    const char* name;
    std::vector<int64_t> codes;
    std::vector<int64_t> groups;
    LayerQuantization setting;
  };
  const std::vector<Split> splits = {{"q_proj", {128, 8}, {128, 2}, {64, 2}},
                                     {"k_proj", {128, 32}, {128, 4}, {32, 8}},
                                     {"v_proj", {128, 16}, {128, 2}, {64, 4}}};
  for (const Split& split : splits) {
    const std::string name = attention + split.name;
    tensors_.push_back({name + ".weight", {name, DType::kF32, {128, 128}, {}, "f"}});
    quantise(name, split.codes, split.groups);
  }
  const std::optional<LayerQuantization> settings_of_whole[] = {LayerQuantization{32, 8}, std::nullopt};
  for (const auto& setting_of_whole : settings_of_whole) {
    args_.quantization->layers[attention + "qkv_proj"] = setting_of_whole;
    const std::vector<Parameter> parameters = match_parameters(table_, tensors_, args_, "folder");
    const Transformer transformer = bind_parameters(args_, parameters, false);
    const auto& parts = transformer.layers[0].attention.qkv_proj.parts;
    ASSERT_EQ(parts.size(), splits.size());
    for (std::size_t idx = 0; idx < splits.size(); ++idx) {
      EXPECT_EQ(parameters[2].tensors[idx].quantization, splits[idx].setting) << splits[idx].name;
      EXPECT_EQ(parts[idx].weight.bits, splits[idx].setting.bits) << splits[idx].name;
      EXPECT_EQ(parts[idx].weight.group_size, splits[idx].setting.group_size) << splits[idx].name;
    }
  }
  args_.quantization->layers[attention + "q_proj"] = std::nullopt;
  expect_fault(attention +
               "q_proj has scales and biases, but `quantization` in config.json says false for it");
}

TEST_F(MatchParameters, NamesAFewOfManyFaults) {
  constexpr std::size_t kNames = 200'000;
  const TensorView view = tensors_.front().view;
  for (std::size_t idx = 0; idx < kNames; ++idx) tensors_.push_back({fmt::format("extra_{:06}", idx), view});
  try {
    match_parameters(table_, tensors_, args_, "folder");
    FAIL() << "no error";
  } catch (const Error& error) {
    const std::string_view message = error.what();
    EXPECT_LT(message.size(), 2'000u);
    EXPECT_NE(message.find("extra_000019 is not a parameter"), message.npos) << message;
    EXPECT_EQ(message.find("extra_000020"), message.npos) << message;
    EXPECT_NE(message.find("; and 199980 more faults"), message.npos) << message;
  }
}

// Each with a fault of its own, which a search through those before it would take minutes to merge.
TEST_F(MatchParameters, MergesManyFaultsOfLayersInTime) {
  constexpr std::size_t kNames = 200'000;
  const TensorView view = tensors_.front().view;
  for (std::size_t idx = 0; idx < kNames; ++idx) {
    tensors_.push_back({fmt::format("transformer.layers.0.extra_{}", idx), view});
    tensors_.push_back({fmt::format("transformer.layers.{:06}.same", idx), view});
  }
  tensors_.push_back({"\n" + std::string(1'000'000, 'x'), view});
  const std::clock_t start = std::clock();
  try {
    match_parameters(table_, tensors_, args_, "folder");
    FAIL() << "no error";
  } catch (const Error& error) {
    const std::string_view message = error.what();
    EXPECT_LT(message.size(), 4'000u);
    EXPECT_NE(message.find("more faults"), message.npos) << message;
  }
  EXPECT_LT((std::clock() - start) / CLOCKS_PER_SEC, 30);
}

TEST_F(MatchParameters, WrongDType) {
  at("transformer.norm.weight").view.dtype = DType::kU32;
  expect_fault("transformer.norm.weight: expected F32, F16 or BF16, got U32");
}

TEST_F(MatchParameters, QuantisedMatrices) {
  args_.quantization = QuantizationArgs{64, 8};
  quantise(gate_, {256, 32}, {256, 2});
  const std::vector<Parameter> parameters = match_parameters(table_, tensors_, args_, "folder");
  EXPECT_NE(parameters[5].tensors.at(0).scales, nullptr);
  EXPECT_EQ(parameters[6].tensors.at(0).scales, nullptr) << "up_proj stays float";
}

TEST_F(MatchParameters, QuantisedWithoutSayingSo) {
  quantise(gate_, {256, 32}, {256, 2});
  expect_fault(gate_ + " has scales or biases, but config.json has no `quantization`");
}

TEST_F(MatchParameters, QuantisedWithWrongShapes) {
  args_.quantization = QuantizationArgs{64, 8};
  quantise(gate_, {256, 16}, {256, 4});
  expect_fault(gate_ + ".weight: expected (256, 32) for 8 bits, got (256, 16)");
  expect_fault(gate_ + ".scales: expected (256, 2), got (256, 4)");
}

TEST_F(MatchParameters, QuantisedLayersHaveTheirOwnSettings) {
  const std::string down = "transformer.layers.0.feed_forward.down_proj";
  args_.quantization = QuantizationArgs{64, 4};
  args_.quantization->layers[gate_] = LayerQuantization{32, 3};
  quantise(gate_, {256, 12}, {256, 4});
  quantise(down, {128, 32}, {128, 4});
  const std::vector<Parameter> parameters = match_parameters(table_, tensors_, args_, "folder");
  const Transformer transformer = bind_parameters(args_, parameters, false);
  EXPECT_EQ(transformer.layers[0].feed_forward.gate_proj.parts.at(0).weight.bits, 3);
  EXPECT_EQ(transformer.layers[0].feed_forward.gate_proj.parts.at(0).weight.group_size, 32);
  EXPECT_EQ(transformer.layers[0].feed_forward.down_proj.parts.at(0).weight.bits, 4);
  EXPECT_EQ(transformer.layers[0].feed_forward.down_proj.parts.at(0).weight.group_size, 64);

  args_.quantization->layers[down] = std::nullopt;
  expect_fault(down + " has scales and biases, but `quantization` in config.json says false for it");
  args_.quantization->layers[down] = LayerQuantization{64, 8};
  expect_fault(down + ".weight: expected (128, 64) for 8 bits, got (128, 32)");
  args_.quantization->layers["transformer.layers.0.feed_forward.up_proj"] = LayerQuantization{64, 4};
  expect_fault("up_proj.scales and .biases are missing, but `quantization` in config.json names this layer");
}

TEST_F(MatchParameters, QuantisedGroupsDivideARow) {
  args_.n_embd = 96;
  table_ = parameter_table(args_);
  args_.quantization = QuantizationArgs{64, 8};
  quantise(gate_, {256, 24}, {256, 2});
  expect_fault(gate_ + ": expected a group_size in config.json that divides its rows of 96, got 64");
}

TEST_F(MatchParameters, QuantisedNormAndLoneScales) {
  args_.quantization = QuantizationArgs{64, 8};
  tensors_.push_back({"transformer.norm.scales", {"s", DType::kBF16, {2}, {}, "f"}});
  tensors_.push_back({gate_ + ".scales", {"s", DType::kBF16, {256, 2}, {}, "f"}});
  expect_fault("transformer.norm has scales or biases, but a norm is never quantised");
  expect_fault(gate_ + ".biases is missing beside");
}

TEST(JoinTypes, NamesEachOnceThoughOneHoldsAnothersName) {
  const std::vector<std::string> types = {"8-bit, groups of 64, BF16 scales", "BF16", "F16", "BF16"};
  EXPECT_EQ(join_types(types), "8-bit, groups of 64, BF16 scales and BF16 and F16");
  EXPECT_EQ(join_types({}), "");
}

}  // namespace
}  // namespace lille
