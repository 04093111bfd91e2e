#include "cli/program.h"

namespace lille::test {
namespace {

class Convert : public testing::Test {
 protected:
  std::filesystem::path path() const { return folder_.path() / "x.gguf"; }

  TemporaryFolder folder_;
};

TEST_F(Convert, AGgufFileAnswersAsItsSource) {
  EXPECT_EQ(output_of({"convert", tiny_model(), path(), "--dtype", "f32"}),
            "wrote " + path().string() + "\n");
  EXPECT_EQ(
      output_of({"generate", "Once upon a time", "--model", path(), "--temp", "0", "--max-tokens", "8"}),
      output_of({"generate", "Once upon a time", "--temp", "0", "--max-tokens", "8"}));
  EXPECT_EQ(output_of({"tokenize", "A cat sat.", "--model", path()}), output_of({"tokenize", "A cat sat."}));
  const nlohmann::json info = nlohmann::json::parse(output_of({"info", "--json", "--model", path()}));
  EXPECT_EQ(info["form"], "GGUF version 3, F32");
  EXPECT_EQ(info["bits_per_weight"], 32.0);
}

TEST_F(Convert, QuantisesAsAsked) {
  output_of({"convert", tiny_model(), path(), "--quantize", "q8_0"});
  const nlohmann::json info = nlohmann::json::parse(output_of({"info", "--json", "--model", path()}));
  EXPECT_EQ(info["form"], "GGUF version 3, Q8_0");
  EXPECT_GT(info["storage"]["Q8_0"]["n_parameters"], 17'000'000);
}

TEST_F(Convert, PackedModelsAnswerAsTheirSource) {
  const std::string packed = (folder_.path() / "packed").string();
  output_of({"convert", tiny_model(), packed, "--pack"});
  const nlohmann::json info = nlohmann::json::parse(output_of({"info", "--json", "--model", packed}));
  EXPECT_NE(info["parts"]["attention"]["dtype"].get<std::string>().find(", packed"), std::string::npos);
  for (const char* exact : {"", "--exact"}) {
    std::vector<std::string> ask = {"generate", "Once upon a time", "--temp", "0", "--max-tokens", "8"};
    if (*exact != 0) ask.emplace_back(exact);
    const std::string expected = output_of(ask);
    ask.insert(ask.end(), {"--model", packed});
    EXPECT_EQ(output_of(ask), expected) << exact;
  }
  output_of({"convert", packed, path(), "--quantize", "q8_0"});
  expect_failure(2, "--pack: expected --format mlx",
                 {"convert", tiny_model(), path(), "--pack", "--overwrite"});
}

TEST_F(Convert, PureIsOneTypeForAllMatrices) {
  output_of({"convert", tiny_model(), path(), "--quantize", "Q4_0", "--pure"});
  const nlohmann::json info = nlohmann::json::parse(output_of({"info", "--json", "--model", path()}));
  for (const char* part : {"tok_embeddings", "attention", "feed_forward"})
    EXPECT_EQ(info["parts"][part]["dtype"], "Q4_0") << info["parts"];
  expect_failure(2, "--pure: expected --format gguf and --quantize with it, got no --quantize",
                 {"convert", tiny_model(), path(), "--pure", "--overwrite"});
  expect_failure(2, "--pure: expected --format gguf and --quantize with it, got hf",
                 {"convert", tiny_model(), folder_.path() / "folder", "--pure"});
}

TEST_F(Convert, SamplingSettingsComeAlong) {
  const std::filesystem::path model = folder_.path() / "model";
  std::filesystem::copy(tiny_model(), model);
  folder_.write(
      "model/generation_config.json",
      R"({"temperature": 0.5, "top_p": 0.5, "top_k": 3, "min_p": 0.25, "repetition_penalty": 1.5})");
  output_of({"convert", model, path(), "--dtype", "f32"});
  const std::vector<std::string> ask = {"generate", "Once", "--seed", "4", "--max-tokens", "12", "--model"};
  const auto answer_of = [&ask](const std::filesystem::path& of) {
    std::vector<std::string> arguments = ask;
    arguments.push_back(of);
    return output_of(arguments);
  };
  EXPECT_EQ(answer_of(path()), answer_of(model));
  folder_.write("model/generation_config.json", R"({"temperature": 0.5, "top_p": 0.5})");
  EXPECT_NE(answer_of(path()), answer_of(model)) << "the settings would make no difference here";
}

TEST_F(Convert, AnotherChatTemplateDoesNotVanishUnseen) {
  const std::filesystem::path model = folder_.path() / "model";
  std::filesystem::copy(tiny_model(), model);
  folder_.write("model/chat_template.jinja", "{{ messages }} [INST]");
  const Finished finished = run_lille({"convert", model, path(), "--quantize", "q8_0"});
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_NE(finished.err.find("gets Lille's chat template instead of the model's"), std::string::npos);
  const std::filesystem::path copy = folder_.path() / "copy";
  EXPECT_EQ(output_of({"convert", model, copy, "--format", "mlx"}), "wrote " + copy.string() + "\n");
  EXPECT_EQ(read_file(copy / "chat_template.jinja"), read_file(model / "chat_template.jinja"));
}

TEST_F(Convert, ReplacesAFileOnlyWhenAsked) {
  folder_.write("x.gguf", "mine");
  expect_failure(kWrongUsage, "expected no such file yet, got one",
                 {"convert", tiny_model(), path(), "--quantize", "q8_0"});
  EXPECT_EQ(read_file(path()), "mine");
  output_of({"convert", tiny_model(), path(), "--quantize", "q8_0", "--overwrite"});
  EXPECT_NE(read_file(path()), "mine");
}

TEST_F(Convert, AFolderUnlessTheNameEndsInGguf) {
  const std::filesystem::path hf = folder_.path() / "hf";
  const Finished finished = run_lille({"convert", tiny_model(), hf, "--rope", "interleaved"});
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_EQ(finished.out, "wrote " + hf.string() + "\n");
  EXPECT_NE(finished.err.find("61 quantised matrices were written as F32"), std::string::npos);
  const nlohmann::json info = nlohmann::json::parse(output_of({"info", "--json", "--model", hf}));
  EXPECT_EQ(info["form"], "safetensors folder");
  EXPECT_EQ(info["rope_layout_source"], "config");
  EXPECT_EQ(output_of({"generate", "Once upon a time", "--model", hf, "--temp", "0", "--max-tokens", "8"}),
            output_of({"generate", "Once upon a time", "--temp", "0", "--max-tokens", "8"}));
  expect_failure(kWrongUsage, "expected no such folder yet", {"convert", tiny_model(), hf});

  // The same codes on both ways.
  const std::filesystem::path mlx = folder_.path() / "mlx";
  const std::filesystem::path quantised = folder_.path() / "quantised";
  output_of({"convert", hf, mlx, "--format", "mlx", "--quantize", "4,32", "--dtype", "bf16"});
  output_of({"quantize", hf, quantised, "--bits", "4", "--group-size", "32", "--dtype", "bfloat16"});
  EXPECT_TRUE(read_file(mlx / "model.safetensors") == read_file(quantised / "model.safetensors"));
  EXPECT_EQ(read_file(mlx / "config.json"), read_file(quantised / "config.json"));
  output_of({"convert", hf, mlx, "--format", "mlx", "--overwrite", "--dtype", "float16"});
  EXPECT_EQ(nlohmann::json::parse(read_file(mlx / "config.json"))["torch_dtype"], "float16");
  EXPECT_EQ(nlohmann::json::parse(output_of({"info", "--json", "--model", mlx}))["form"],
            "safetensors folder");
}

TEST_F(Convert, TheIntegersOfBlocksStayInMlxsForm) {
  output_of({"convert", tiny_model(), path(), "--quantize", "q8_0"});
  const std::filesystem::path mlx = folder_.path() / "mlx";
  const Finished finished = run_lille({"convert", path(), mlx, "--format", "mlx"});
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_EQ(finished.err.find("matrices were written as"), std::string::npos) << finished.err;
  const nlohmann::json info = nlohmann::json::parse(output_of({"info", "--json", "--model", mlx}));
  EXPECT_EQ(info["quantization"]["bits"], 8);
  EXPECT_EQ(info["quantization"]["group_size"], 32);
  const auto answer_of = [](const std::filesystem::path& model) {
    return output_of({"generate", "Once upon a time", "--model", model, "--temp", "0", "--max-tokens", "8"});
  };
  EXPECT_EQ(answer_of(mlx), answer_of(path()));
  expect_failure(kWrongUsage, "got Q8_0 blocks. Hint: quantize the checkpoint",
                 {"quantize", path(), folder_.path() / "q4"});
}

TEST_F(Convert, WhatCannotBeIsSaid) {
  const std::filesystem::path folder = folder_.path() / "folder";
  expect_failure(kWrongUsage, "Hint: --format mlx or gguf",
                 {"convert", tiny_model(), folder, "--quantize", "4"});
  expect_failure(kWrongUsage, "--quantize: expected a whole number from 2 to 8, got \"Q8_0\"",
                 {"convert", tiny_model(), folder, "--format", "mlx", "--quantize", "q8_0"});
  expect_failure(kWrongUsage, "got 8-bit codes",
                 {"convert", tiny_model(), folder, "--format", "mlx", "--quantize", "4"});
  expect_failure(kWrongUsage, "quantised in MLX's form, which GGUF does not have",
                 {"convert", tiny_model(), path()});
  expect_failure(kWrongUsage, "--format: expected hf, mlx or gguf, got \"onnx\"",
                 {"convert", tiny_model(), path(), "--format", "onnx"});
  expect_failure(kWrongUsage, "--dtype: expected", {"convert", tiny_model(), path(), "--dtype", "q8_0"});
  expect_failure(kWrongUsage, "type: expected one of F32",
                 {"convert", tiny_model(), path(), "--quantize", "q3_k"});
  expect_failure(kWrongUsage, "--quantize: expected it or --dtype, got both",
                 {"convert", tiny_model(), path(), "--quantize", "q8_0", "--dtype", "f32"});
  EXPECT_FALSE(std::filesystem::exists(path()));
}

}  // namespace
}  // namespace lille::test
