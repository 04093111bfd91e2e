#include "cli/program.h"

namespace lille::test {
namespace {

// What a check came out as; empty if there is no such check.
std::string result_of(const nlohmann::json& report, const std::string& name) {
  for (const nlohmann::json& check : report["checks"])
    if (check["name"] == name) return check["result"];
  return "";
}

TEST(Verify, TheModelOfTheProgramIsWell) {
  const auto report = nlohmann::json::parse(output_of({"verify", tiny_model(), "--json"}));
  EXPECT_EQ(report["is_well"], true);
  ASSERT_EQ(report["checks"].size(), 9U);
  for (const nlohmann::json& check : report["checks"]) EXPECT_EQ(check["result"], "ok") << check;
  EXPECT_EQ(report["n_tensors"], 86);
  EXPECT_EQ(report["rope_layout"]["measured"], "interleaved");
  EXPECT_EQ(report["rope_layout"]["n_predictions"], 1024);
  EXPECT_NE(report["continuation"], "");
}

TEST(Verify, TheLastLineSaysWhatFailed) {
  const TemporaryFolder folder;
  const auto model = copy_model(toy_model(), folder.path() / "model");
  put_nan(model / "model.safetensors", "transformer.layers.1.feed_forward.up_proj.weight");
  const Finished finished = run_lille({"verify", model});
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_EQ(finished.err, "");
  const std::size_t found =
      finished.out.find("transformer.layers.1.feed_forward.up_proj.weight contains NaN");
  EXPECT_NE(found, std::string::npos) << finished.out;
  EXPECT_EQ(finished.out.find("contains NaN", finished.out.find("contains NaN") + 1), std::string::npos)
      << "told once: " << finished.out;
  EXPECT_TRUE(
      finished.out.ends_with("\nFAILED: files, values, tokenizer; skipped: rotary layout, continuation\n"))
      << finished.out;
}

TEST(Verify, AnotherLayoutThanTheWeightsIsAFault) {
  const Finished finished = run_lille({"verify", tiny_model(), "--rope", "half", "--json"});
  EXPECT_EQ(finished.exit_code, 1);
  const auto report = nlohmann::json::parse(finished.out);
  EXPECT_EQ(result_of(report, "rotary layout"), "FAILED");
  EXPECT_EQ(report["rope_layout"]["used"], "half");
}

TEST(Verify, NothingThereIsAnError) {
  expect_failure(kFailed, "got nothing there", {"verify", "/no/such/model"});
  expect_failure(kWrongUsage, "model is required", {"verify"});
}

}  // namespace
}  // namespace lille::test
