#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "lille/model_args.h"
#include "support.h"

namespace lille {
namespace {

/// Keys and their values as JSON text; an empty text leaves the key out.
using Keys = std::map<std::string, std::string>;

std::string config(const Keys& changes = {}) {
  Keys keys = {{"model_type", "\"lille-130m\""},
               {"block_size", "64"},
               {"layer_norm_eps", "1e-05"},
               {"n_embd", "128"},
               {"n_head", "4"},
               {"n_kv_heads", "2"},
               {"n_layer", "3"},
               {"rope_theta", "10000.0"},
               {"vocab_size", "512"}};
  for (const auto& [key, value] : changes) keys[key] = value;
  std::string text;
  for (const auto& [key, value] : keys)
    if (!value.empty()) text += fmt::format("{}\"{}\":{}", text.empty() ? "" : ",", key, value);
  return "{" + text + "}";
}

ModelArgs read(const Keys& changes = {}) { return ModelArgs::from_json(config(changes), "dir/config.json"); }

void expect_fault(ErrorCode code, std::string_view message, const Keys& changes) {
  test::expect_error(code, message, [&changes] { read(changes); });
  test::expect_error(code, "[load_config] dir/config.json: ", [&changes] { read(changes); });
  test::expect_error(code, ". Hint: ", [&changes] { read(changes); });
}

void expect_corrupt(std::string_view message, const Keys& changes) {
  expect_fault(ErrorCode::kCorruptFile, message, changes);
}
void expect_unsupported(std::string_view message, const Keys& changes) {
  expect_fault(ErrorCode::kUnsupported, message, changes);
}

TEST(ModelArgsJson, ReadsEveryField) {
  const ModelArgs args = read();
  EXPECT_EQ(args.model_type, "lille-130m");
  EXPECT_EQ(args.block_size, 64);
  EXPECT_EQ(args.layer_norm_eps, 1e-5f);
  EXPECT_EQ(args.n_embd, 128);
  EXPECT_EQ(args.n_head, 4);
  EXPECT_EQ(args.n_kv_heads, 2);
  EXPECT_EQ(args.n_layer, 3);
  EXPECT_EQ(args.rope_theta, 10000.0);
  EXPECT_EQ(args.vocab_size, 512);
  EXPECT_TRUE(args.tie_word_embeddings);
  EXPECT_EQ(args.rope_layout, std::nullopt);
  EXPECT_EQ(args.quantization, std::nullopt);
}

TEST(ModelArgsJson, IgnoresUnknownKeysAndNullsOfOptionalOnes) {
  EXPECT_EQ(read({{"dropout", "0.1"}, {"architectures", "[\"LilleForCausalLM\"]"}, {"x", "{\"y\":null}"}}),
            read());
  EXPECT_EQ(read({{"rope_scaling", "null"},
                  {"rope_parameters", "null"},
                  {"rope_layout", "null"},
                  {"quantization", "null"}}),
            read());
}

TEST(ModelArgsJson, NamesEveryMissingKeyAtOnce) {
  expect_corrupt(
      "got none for model_type, block_size, n_embd, n_head (or n_heads), n_kv_heads, n_layer (or n_layers), "
      "vocab_size, layer_norm_eps, rope_theta. Hint",
      {{"model_type", ""},
       {"block_size", ""},
       {"n_embd", ""},
       {"n_head", ""},
       {"n_kv_heads", ""},
       {"n_layer", ""},
       {"vocab_size", ""},
       {"layer_norm_eps", ""},
       {"rope_theta", ""},
       {"x", "1"}});
  for (const char* key :
       {"model_type", "block_size", "n_embd", "n_kv_heads", "vocab_size", "layer_norm_eps", "rope_theta"})
    expect_corrupt(fmt::format("got none for {}. Hint", key), {{key, ""}});
}

TEST(ModelArgsJson, OnlyTieWordEmbeddingsHasADefault) {
  EXPECT_TRUE(read({{"tie_word_embeddings", "true"}}).tie_word_embeddings);
  expect_unsupported("tie_word_embeddings: expected true, got false", {{"tie_word_embeddings", "false"}});
  expect_corrupt("tie_word_embeddings: expected true or false, got 1", {{"tie_word_embeddings", "1"}});
  expect_corrupt("tie_word_embeddings: expected true or false, got null", {{"tie_word_embeddings", "null"}});
}

TEST(ModelArgsJson, SizesMustBeWholeNumbersInRange) {
  const std::map<std::string, std::string> bounds = {{"block_size", "65536"}, {"n_embd", "65536"},
                                                     {"n_head", "4096"},      {"n_kv_heads", "4096"},
                                                     {"n_layer", "4096"},     {"vocab_size", "16777216"}};
  for (const auto& [key, max] : bounds)
    for (const char* value : {"0", "-1", "2.5", "128.0", "\"128\"", "true", "null", "[]", "{}", "\"NaN\"",
                              "100000000", "9223372036854775807", "9223372036854775808",
                              "18446744073709551615", "100000000000000000000000", "1e300"})
      expect_corrupt(fmt::format("{}: expected a whole number from 1 to {}, got ", key, max), {{key, value}});
}

TEST(ModelArgsJson, SaysWhatAContextCosts) {
  expect_corrupt(
      "block_size: expected a whole number from 1 to 65536, got 65537. Hint: the rotary table and the cache",
      {{"block_size", "65537"}});
}

TEST(ModelArgsJson, QuotesTheWrongValue) {
  expect_corrupt("n_embd: expected a whole number from 1 to 65536, got \"640\". Hint",
                 {{"n_embd", "\"640\""}});
  expect_corrupt("got 128.0. Hint", {{"n_embd", "128.0"}});
  expect_corrupt("got -1. Hint", {{"n_layer", "-1"}});
}

TEST(ModelArgsJson, ProductsOfTheLargestSizesFit) {
  const ModelArgs args = read({{"block_size", "65536"},
                               {"n_embd", "65536"},
                               {"n_head", "4096"},
                               {"n_kv_heads", "4096"},
                               {"n_layer", "4096"},
                               {"vocab_size", "16777216"}});
  const double n_parameters =
      static_cast<double>(args.n_layer) *
      (2.0 * 65536 * 65536 + 2.0 * 65536 * 65536 + 3.0 * 65536 * static_cast<double>(args.hidden_dim()));
  const double cache_bytes =
      2.0 * 4 * static_cast<double>(args.n_layer) * static_cast<double>(args.block_size) * 65536;
  EXPECT_LT(4 * n_parameters, 0x1p62);
  EXPECT_LT(cache_bytes, 0x1p62);
}

TEST(ModelArgsJson, EpsAndThetaMustBeNumbersInRange) {
  EXPECT_EQ(read({{"layer_norm_eps", "1"}}).layer_norm_eps, 1.0f);
  for (const char* value : {"0", "0.0", "-1e-5", "1e-60", "1.5", "\"1e-5\"", "null", "true", "1e300"})
    expect_corrupt("layer_norm_eps: expected a number above 0 (as float32) and at most 1, got ",
                   {{"layer_norm_eps", value}});
  EXPECT_EQ(read({{"rope_theta", "500"}}).rope_theta, 500.0);
  for (const char* value : {"0", "-10000.0", "0.5", "1e13", "\"10000\"", "null", "true", "[]"})
    expect_corrupt("rope_theta: expected a number from 1 to 1000000000000, got ", {{"rope_theta", value}});
}

TEST(ModelArgsJson, RefusesNumbersThatJsonDoesNotHave) {
  for (const char* value : {"NaN", "Infinity", "-Infinity", "1e999", "0x10", "1.", ".5"})
    test::expect_error(ErrorCode::kCorruptFile, "dir/config.json: expected JSON", [value] {
      read({{"rope_theta", value}});
    });
}

TEST(ModelArgsJson, HeadsMustDivide) {
  expect_corrupt("n_head: expected a divisor of n_embd, 128, got 3", {{"n_head", "3"}});
  expect_corrupt("n_kv_heads: expected a divisor of n_head, 4, got 3", {{"n_kv_heads", "3"}});
  expect_corrupt("n_kv_heads: expected a divisor of n_head, 4, got 8", {{"n_kv_heads", "8"}});
  expect_corrupt("n_embd / n_head = 100 / 4 = 25", {{"n_embd", "100"}});
}

TEST(ModelArgsJson, AHeadHasAWidthThatIsComputed) {
  EXPECT_EQ(read({{"n_embd", "16384"}}).head_dim(), 4096);
  expect_corrupt("n_head: expected a width of a head of at most 4096, got n_embd / n_head = 16392 / 4 = 4098",
                 {{"n_embd", "16392"}});
}

TEST(ModelArgsJson, ExplainsAnMlpWithoutWidth) {
  expect_corrupt(
      "n_embd: expected at least 49, got 48. Hint: hidden_dim = 256 * round(int(8 * n_embd / 3) / 256)",
      {{"n_embd", "48"}});
  EXPECT_EQ(read({{"n_embd", "56"}}).hidden_dim(), 256);
}

TEST(ModelArgsJson, AnotherModelTypeIsAnotherArchitecture) {
  expect_unsupported("model_type: expected \"lille-130m\", got \"llama\"", {{"model_type", "\"llama\""}});
  // Said before anything that such a config lacks.
  expect_unsupported("got \"gpt2\"", {{"model_type", "\"gpt2\""}, {"n_kv_heads", ""}, {"rope_theta", ""}});
  expect_corrupt("model_type: expected a string, got 1", {{"model_type", "1"}});
}

TEST(ModelArgsJson, UnderstandsTheTrainingCodesNames) {
  const Keys training = {
      {"model_type", ""}, {"n_layer", ""}, {"n_head", ""}, {"n_layers", "3"}, {"n_heads", "4"}};
  EXPECT_EQ(read(training), read());
  EXPECT_EQ(read({{"n_layers", "3"}, {"n_heads", "4"}}), read());
  expect_corrupt("n_layer: expected the value of n_layers, 5, got 3", {{"n_layers", "5"}});
  expect_corrupt("n_head: expected the value of n_heads, \"4\", got 4", {{"n_heads", "\"4\""}});
  expect_corrupt("n_layer: expected a whole number", {{"n_layer", ""}, {"n_layers", "0"}});
}

TEST(ModelArgsJson, UnderstandsNestedRopeParameters) {
  EXPECT_EQ(read({{"rope_theta", ""}, {"rope_parameters", R"({"rope_theta":10000,"rope_type":"default"})"}}),
            read());
  EXPECT_EQ(read({{"rope_parameters", R"({"rope_theta":10000.0})"}}), read());
  EXPECT_EQ(read({{"rope_parameters", "{}"}}), read());
  expect_corrupt("rope_theta: expected the value of rope_parameters, 500, got 10000.0",
                 {{"rope_parameters", R"({"rope_theta":500})"}});
  expect_corrupt("got none for rope_theta", {{"rope_theta", ""}, {"rope_parameters", "{}"}});
  expect_corrupt("rope_parameters: expected an object, got 1", {{"rope_parameters", "1"}});
  expect_corrupt("rope_theta: expected a number",
                 {{"rope_theta", ""}, {"rope_parameters", R"({"rope_theta":"x"})"}});
}

TEST(ModelArgsJson, RefusesScaledRotaryPositions) {
  expect_unsupported("rope_scaling: expected null or nothing, got an object",
                     {{"rope_scaling", R"({"type":"linear","factor":2.0})"}});
  expect_unsupported("rope_scaling: expected null or nothing, got 2.0", {{"rope_scaling", "2.0"}});
  expect_unsupported("rope_parameters.rope_type: expected \"default\", got \"yarn\"",
                     {{"rope_parameters", R"({"rope_type":"yarn"})"}});
  expect_unsupported("rope_type: expected \"default\", got \"llama3\"", {{"rope_type", "\"llama3\""}});
}

TEST(ModelArgsJson, ReadsTheRopeLayout) {
  EXPECT_EQ(read({{"rope_layout", "\"original\""}}).rope_layout, RopeLayout::kOriginal);
  for (const char* value : {"\"neox\"", "\"\"", "1", "{}"})
    expect_corrupt("rope_layout: expected \"interleaved\", \"half\" or \"original\", got ",
                   {{"rope_layout", value}});
}

TEST(ModelArgsJson, ReadsMlxQuantization) {
  const std::string object = R"({"group_size":64,"bits":8,"mode":"affine"})";
  const QuantizationArgs expected{.group_size = 64, .bits = 8};
  EXPECT_EQ(read({{"quantization", object}, {"quantization_config", object}}).quantization, expected);
  EXPECT_EQ(read({{"quantization", R"({"bits":8,"group_size":64})"}}).quantization, expected);
  EXPECT_EQ(read({{"quantization_config", object}}).quantization, expected);
  EXPECT_EQ(read({{"quantization", R"({"bits":8,"group_size":32})"}}).quantization->group_size, 32);
  expect_corrupt("quantization: expected the same as quantization_config, got two that differ",
                 {{"quantization", object}, {"quantization_config", R"({"group_size":32,"bits":8})"}});
}

TEST(ModelArgsJson, ReadsEverySizeOfACodeAndNoOther) {
  for (const int64_t bits : {2, 3, 4, 5, 6, 8})
    EXPECT_EQ(read({{"quantization", fmt::format(R"({{"group_size":128,"bits":{}}})", bits)}}).quantization,
              (QuantizationArgs{.group_size = 128, .bits = bits}));
  for (const char* bits : {"0", "1", "7", "16", "-8", "8.0", "\"8\"", "null", "true", "9223372036854775808"})
    expect_corrupt("quantization.bits: expected 2, 3, 4, 5, 6 or 8, got ",
                   {{"quantization", fmt::format(R"({{"group_size":64,"bits":{}}})", bits)}});
  for (const char* group_size : {"0", "16", "-64", "256", "64.0", "\"64\"", "null"})
    expect_corrupt("quantization.group_size: expected 32, 64 or 128, got ",
                   {{"quantization", fmt::format(R"({{"group_size":{},"bits":8}})", group_size)}});
  expect_corrupt("quantization.bits: expected 2, 3, 4, 5, 6 or 8, got none",
                 {{"quantization", R"({"group_size":64})"}});
  expect_corrupt("quantization.group_size: expected 32, 64 or 128, got none",
                 {{"quantization", R"({"bits":8})"}});
  expect_corrupt("quantization_config: expected an object, got true", {{"quantization_config", "true"}});
  expect_unsupported("quantization.mode: expected \"affine\", got \"mxfp4\"",
                     {{"quantization", R"({"group_size":32,"bits":4,"mode":"mxfp4"})"}});
  expect_unsupported(
      "quantization_config.quant_method: expected MLX's form, which has no such key, got \"awq\"",
      {{"quantization_config", R"({"quant_method":"awq","bits":4})"}});
}

TEST(ModelArgsJson, ReadsSettingsOfSingleLayers) {
  const auto quantization = read({{"quantization", R"({"group_size":64,"bits":4,
      "transformer.tok_embeddings":{"group_size":32,"bits":6,"mode":"affine"},
      "transformer.layers.0.attention.qkv_proj":false,"transformer.layers.1.attention.qkv_proj":true})"}})
                                .quantization;
  ASSERT_TRUE(quantization);
  using Setting = LayerQuantization;
  EXPECT_EQ(quantization->of_layer("transformer.tok_embeddings"), (Setting{32, 6}));
  EXPECT_EQ(quantization->of_layer("transformer.layers.0.attention.qkv_proj"), std::nullopt);
  EXPECT_EQ(quantization->of_layer("transformer.layers.1.attention.qkv_proj"), (Setting{64, 4}));
  EXPECT_EQ(quantization->of_layer("transformer.layers.2.attention.qkv_proj"), (Setting{64, 4}));

  const auto with_layer = [](const char* layer) {
    return fmt::format(R"({{"group_size":64,"bits":8,"transformer.norm":{}}})", layer);
  };
  expect_corrupt("quantization.transformer.norm.group_size: expected 32, 64 or 128, got none",
                 {{"quantization", with_layer(R"({"bits":4})")}});
  expect_corrupt("quantization.transformer.norm.bits: expected 2, 3, 4, 5, 6 or 8, got 7",
                 {{"quantization", with_layer(R"({"group_size":64,"bits":7})")}});
  expect_unsupported("quantization.transformer.norm.mode: expected \"affine\", got \"nvfp4\"",
                     {{"quantization", with_layer(R"({"group_size":64,"bits":4,"mode":"nvfp4"})")}});
}

// model_args of a .pt file are read here too; only `source` says where a fault stands.
TEST(ModelArgsJson, NamesNoFileButItsSource) {
  for (const Keys& changes :
       {Keys{{"n_embd", ""}}, Keys{{"n_layer", "\"two\""}}, Keys{{"layer_norm_eps", "-1"}}})
    try {
      ModelArgs::from_json(config(changes), "best_model.pt (model_args)");
      ADD_FAILURE() << "expected an error";
    } catch (const Error& error) {
      EXPECT_EQ(std::string_view(error.what()).find("config.json"), std::string_view::npos) << error.what();
    }
}

TEST(ModelArgsJson, RefusesDuplicateKeys) {
  test::expect_error(ErrorCode::kCorruptFile, "got \"n_embd\" twice",
                     [] { ModelArgs::from_json(R"({"n_embd":1,"n_embd":2})", "config.json"); });
}

TEST(ModelArgsJson, WritesWhatItReads) {
  for (const Keys& changes :
       {Keys{}, Keys{{"rope_layout", "\"half\""}, {"layer_norm_eps", "1e-6"}},
        Keys{{"quantization", R"({"group_size":32,"bits":8})"}, {"rope_theta", "500"}},
        Keys{{"quantization",
              R"({"group_size":32,"bits":3,"a.b":false,"a.c":{"group_size":64,"bits":6}})"}}}) {
    const ModelArgs args = read(changes);
    EXPECT_EQ(ModelArgs::from_json(args.to_json(), "written"), args);
  }
  const std::string text =
      read({{"quantization", R"({"group_size":64,"bits":8})"}, {"rope_layout", "\"original\""}}).to_json();
  for (const char* part :
       {"\"layer_norm_eps\": 1e-05", "\"rope_theta\": 10000.0", "\"rope_layout\": \"original\"",
        "\"quantization_config\": {", "\"mode\": \"affine\"", "\"tie_word_embeddings\": true",
        "\"model_type\": \"lille-130m\"", "\"LilleForCausalLM\""})
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
}

TEST(ModelArgsJson, ReadsTheConfigsOfTheRepository) {
  const ModelArgs tiny = ModelArgs::load(test::source_path("models/lille-tiny-8bit/config.json"));
  EXPECT_EQ(tiny.n_embd, 256);
  EXPECT_EQ(tiny.hidden_dim(), 768);
  EXPECT_EQ(tiny.rope_layout, RopeLayout::kInterleaved);
  EXPECT_EQ(tiny.quantization, (QuantizationArgs{.group_size = 64, .bits = 8}));
  const ModelArgs odd = ModelArgs::load(test::source_path("tests/golden/mlx/odd/config.json"));
  EXPECT_EQ(odd.hidden_dim(), 512);
  EXPECT_EQ(odd.rope_theta, 50000.0);
  EXPECT_EQ(odd.layer_norm_eps, 1e-6f);
}

TEST(ModelArgsJson, ReadsLille130M) {
  LILLE_NEED_SHARED();
  const ModelArgs args = ModelArgs::load(test::shared_path("golden/mlx/lille/config.json"));
  EXPECT_EQ(args.n_embd, 640);
  EXPECT_EQ(args.hidden_dim(), 1792);
  EXPECT_EQ(args.n_layer, 24);
}

TEST(ModelArgsJson, LoadNamesTheFile) {
  const test::TemporaryFolder folder;
  test::expect_error(ErrorCode::kNotFound, "config.json: no such file",
                     [&] { ModelArgs::load(folder.path() / "config.json"); });
  const std::filesystem::path path = folder.write("config.json", "");
  test::expect_error(ErrorCode::kCorruptFile, "config.json: expected JSON", [&] { ModelArgs::load(path); });
}

}  // namespace
}  // namespace lille
