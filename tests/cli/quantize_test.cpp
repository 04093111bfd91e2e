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

TEST(Quantize, TakesTheLayoutThatIsNamed) {
  const TemporaryFolder folder;
  const std::string target = folder.path() / "q4";
  ASSERT_EQ(run_lille({"quantize", toy_model(), target, "--rope", "half", "--threads", "1"}).exit_code, 0);
  const auto info = nlohmann::json::parse(output_of({"info", "--json", "--model", target}));
  EXPECT_EQ(info["rope_layout"], "half");
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

TEST(Quantize, SaysWhatIsWrongWithACalibration) {
  const TemporaryFolder folder;
  const std::string target = folder.path() / "model";
  const auto with = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"quantize", toy_model(), target};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  expect_failure(kWrongUsage, "--method: expected rtn, weighted or gptq, got \"awq\"",
                 with({"--method", "awq"}));
  const std::string bad = folder.write("bad.txt", "Once upon \xff a time");
  expect_failure(kWrongUsage, "bad.txt: expected UTF-8 text, got the byte 0xff at offset 10",
                 with({"--method", "gptq", "--calibration", bad}));
  expect_failure(kFailed, "no-such.txt", with({"--method", "gptq", "--calibration", "no-such.txt"}));
  expect_failure(kWrongUsage, "--target-bits-per-weight: expected a number",
                 with({"--target-bits-per-weight", "x"}));
  expect_failure(kWrongUsage, "--target-bits-per-weight: expected a number from 1e-06 to 8.999, got \"9\"",
                 with({"--target-bits-per-weight", "9"}));
  for (const std::string kl : {"-1", "0", "nan"})
    expect_failure(kWrongUsage, "--max-kl: expected a number from 1e-06 to 1000, got \"" + kl,
                   with({"--max-kl", kl}));
  expect_failure(kWrongUsage, "--text: expected --report with it", with({"--text", bad}));
  expect_failure(kWrongUsage, "--tune-epochs: expected --method weighted or gptq with it",
                 with({"--tune-epochs", "1"}));
  expect_failure(
      kWrongUsage, "--tune-epochs: expected no --report with it",
      {"quantize", toy_model(), "--report", "page.html", "--method", "gptq", "--tune-epochs", "1"});
  expect_failure(kWrongUsage, "--calibration: expected --method weighted or gptq",
                 with({"--calibration", bad}));
  EXPECT_FALSE(std::filesystem::exists(target));
  const std::string page = folder.path() / "report.html";
  expect_failure(kWrongUsage, "expected a folder to write or --report, one of them, got none",
                 {"quantize", toy_model()});
  expect_failure(kWrongUsage, "expected a folder to write or --report, one of them, got both",
                 with({"--report", page}));
  expect_failure(kFailed, "--report: expected a file in a folder that is there",
                 {"quantize", toy_model(), "--report", folder.path() / "none" / "page.html"});
  expect_failure(kWrongUsage, "bad.txt: expected UTF-8 text",
                 {"quantize", toy_model(), "--report", page, "--text", bad});
  expect_failure(kWrongUsage, "got 8-bit codes", {"quantize", tiny_model(), "--report", page});
  EXPECT_FALSE(std::filesystem::exists(page));
}

// The model of the repository as floats, which has a tokenizer.
TEST(Quantize, WhatCalibratingCannotDoIsToldAtOnce) {
  const TemporaryFolder folder;
  const std::string floats = folder.path() / "floats";
  const std::string target = folder.path() / "q4";
  ASSERT_EQ(run_lille({"convert", tiny_model(), floats, "--dtype", "BF16"}).exit_code, 0);
  const std::string text = folder.write("short.txt", "Once upon a time there was a mill.");
  expect_failure(kWrongUsage, "expected at least 2048 tokens (4 windows of block_size), got 9",
                 {"quantize", floats, target, "--method", "weighted", "--calibration", text});
  // 2.25 bits of every weight are what scales and 2 bits of codes take.
  expect_failure(kWrongUsage, "expected room for 2 bits of every weight",
                 {"quantize", floats, target, "--overwrite", "--target-bits-per-weight", "1.5"});
}

// Searching all groups of a trained model takes minutes under a sanitizer; there tests/model calibrates a
// small one.
#ifndef __SANITIZE_ADDRESS__
TEST(Quantize, CalibratesOnAText) {
  const TemporaryFolder folder;
  const std::string floats = folder.path() / "floats";
  const std::string target = folder.path() / "q4";
  ASSERT_EQ(run_lille({"convert", tiny_model(), floats, "--dtype", "BF16"}).exit_code, 0);
  const auto report = nlohmann::json::parse(output_of(
      {"quantize", floats, target, "--json", "--method", "weighted", "--num-samples", "4", "--bits", "3"}));
  EXPECT_EQ(report["method"], "weighted");
  EXPECT_EQ(report["n_quantised"], 61);
  EXPECT_EQ(report["bits"], 3);
  const auto info = nlohmann::json::parse(output_of({"info", "--json", "--model", target}));
  EXPECT_EQ(info["quantization"]["bits"], 3);
}
#endif

}  // namespace
}  // namespace lille::test
