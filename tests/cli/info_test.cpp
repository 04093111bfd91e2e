#include "cli/program.h"

namespace lille::test {
namespace {

// ../shared/checkpoints/README.md: 17,832,192 parameters.
constexpr int64_t kTinyParameters = 17832192;

TEST(Info, TextShowsTheArchitecture) {
  const std::string text = output_of({"info"});
  for (const char* part :
       {"model_type        lille-130m", "n_layer           12", "n_embd            256",
        "block_size        512 tokens", "rope_layout       interleaved (named in the model)",
        "form              MLX-quantised folder", "storage           8.50 bits per weight",
        "parameters        17832192", "tok_embeddings", "attention", "feed_forward", "norm",
        "8-bit, groups of 64, BF16 scales", "mapped and shared"})
    EXPECT_NE(text.find(part), std::string::npos) << part;
}

TEST(Info, JsonHasTheConfigAndTheParts) {
  const nlohmann::json info = nlohmann::json::parse(output_of({"info", "--json"}));
  const auto config = nlohmann::json::parse(read_file(tiny_model() / "config.json"));
  for (const char* key : {"n_layer", "n_embd", "n_head", "n_kv_heads", "vocab_size", "block_size",
                          "rope_theta", "model_type", "tie_word_embeddings", "rope_layout", "quantization"})
    EXPECT_EQ(info[key], config[key]) << key;
  EXPECT_EQ(info["n_parameters"], kTinyParameters);
  int64_t n_parameters = 0;
  int64_t n_bytes = 0;
  for (const nlohmann::json& part : info["parts"]) {
    n_parameters += part["n_parameters"].get<int64_t>();
    n_bytes += part["n_bytes"].get<int64_t>();
  }
  EXPECT_EQ(n_parameters, kTinyParameters);
  EXPECT_EQ(n_bytes, info["weights_bytes"]);
  const auto index = nlohmann::json::parse(read_file(tiny_model() / "model.safetensors.index.json"));
  EXPECT_EQ(info["weights_bytes"], index["metadata"]["total_size"]);
}

TEST(Info, SystemNamesTheKernels) {
  const std::string text = output_of({"info", "--system"});
  EXPECT_NE(text.find("reference"), std::string::npos);
  EXPECT_NE(text.find("threads"), std::string::npos);
}

TEST(Info, ModelWithoutATokenizer) {
  const nlohmann::json info = nlohmann::json::parse(output_of({"info", "--json", "--model", toy_model()}));
  EXPECT_EQ(info["vocab_size"], 512);
  EXPECT_EQ(info["rope_layout"], "interleaved");
}

TEST(Info, NansAreAWarningThatNamesTheTensor) {
  const TemporaryFolder folder;
  const auto model = copy_model(toy_model(), folder.path() / "model");
  const std::string name = "transformer.layers.1.feed_forward.up_proj.weight";
  put_nan(model / "model.safetensors", name);
  const Finished finished = run_lille({"info", "--model", model});
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_TRUE(finished.err.starts_with("lille: warning: ")) << finished.err;
  EXPECT_NE(finished.err.find(name), std::string::npos) << finished.err;
  EXPECT_EQ(std::count(finished.err.begin(), finished.err.end(), '\n'), 1) << finished.err;
}

}  // namespace
}  // namespace lille::test
