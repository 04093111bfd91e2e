#include "cli/program.h"
#include "gguf_files.h"

namespace lille::test {
namespace {

TEST(Quantize, WritesAModelThatRuns) {
  const TemporaryFolder folder;
  const std::string target = folder.path() / "q4";
  const std::string text = output_of({"quantize", toy_model(), target, "--bits", "4", "--group-size", "32"});
  EXPECT_NE(text.find("16 matrices in 4 bits, groups of 32; "), std::string::npos) << text;
  const auto info = nlohmann::json::parse(output_of({"info", "--json", "--model", target}));
  EXPECT_EQ(info["quantization"]["bits"], 4);
  EXPECT_EQ(info["quantization"]["group_size"], 32);
  expect_failure(kWrongUsage, "expected no such folder yet, got one", {"quantize", toy_model(), target});
  const auto report = nlohmann::json::parse(
      output_of({"quantize", toy_model(), target, "--overwrite", "--json", "--dtype", "float16"}));
  EXPECT_EQ(report["bits"], 4);
  EXPECT_EQ(report["group_size"], 64);
  EXPECT_EQ(report["n_quantised"], 16);
  // Codes of 4 bits and two F16 numbers for each 64; a little more for the norms.
  EXPECT_NEAR(report["bits_per_weight"].get<double>(), 4.5, 0.05);
}

TEST(Quantize, AChatTemplateThatIsNotKeptIsToldOf) {
  const TemporaryFolder folder;
  GgufOfFolder gguf(toy_model());
  gguf.set("tokenizer.chat_template", std::string_view("{{ messages }} [INST]"));
  const Finished finished =
      run_lille({"quantize", gguf.save(folder.path() / "x.gguf"), folder.path() / "model"});
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_TRUE(
      finished.err.starts_with("lille: warning: the copy gets no chat template instead of the model's"))
      << finished.err;
}

TEST(Quantize, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  const std::string target = folder.path() / "model";
  expect_failure(kWrongUsage, "bits: expected 2, 3, 4, 5, 6 or 8, got 7",
                 {"quantize", toy_model(), target, "--bits", "7"});
  expect_failure(kWrongUsage, "group size: expected 32, 64 or 128, got 16",
                 {"quantize", toy_model(), target, "--group-size", "16"});
  expect_failure(kWrongUsage, "--dtype: expected float32, float16 or bfloat16, got \"int8\"",
                 {"quantize", toy_model(), target, "--dtype", "int8"});
  expect_failure(kWrongUsage, "got 8-bit codes", {"quantize", tiny_model(), target});
  expect_failure(kFailed, "config.json", {"quantize", folder.path(), target});
  EXPECT_FALSE(std::filesystem::exists(target));
}

}  // namespace
}  // namespace lille::test
