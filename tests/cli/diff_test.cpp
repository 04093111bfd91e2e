#include "cli/program.h"

namespace lille::test {
namespace {

constexpr int kDifferent = 1;
constexpr int kTrouble = 2;

class Diff : public testing::Test {
 protected:
  static Finished diff(const std::filesystem::path& a, const std::filesystem::path& b,
                       std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"diff", a, b};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_lille(arguments);
  }

  static nlohmann::json json_of(const Finished& finished, int exit_code) {
    EXPECT_EQ(finished.exit_code, exit_code) << finished.err;
    EXPECT_EQ(finished.err, "");
    return nlohmann::json::parse(finished.out);
  }

  static void expect_part(const Finished& finished, const std::string& part) {
    EXPECT_NE(finished.out.find(part), std::string::npos) << part << " in:\n" << finished.out;
  }

  TemporaryFolder folder_;
};

TEST_F(Diff, AModelIsTheSameAsItself) {
  const auto found = json_of(diff(tiny_model(), tiny_model(), {"--json"}), 0);
  EXPECT_EQ(found["is_same"], true);
  EXPECT_EQ(found["max_error"], 0);
  EXPECT_EQ(found["tensors"].size(), 86U);
  EXPECT_EQ(found["arguments"].size(), 0U);
  EXPECT_EQ(found["tokenizer"], "the same");
  EXPECT_EQ(found["predictions"]["kl_mean"], 0);
  EXPECT_EQ(found["predictions"]["kl_max"], 0);
  EXPECT_EQ(found["predictions"]["top1_agreement"], 1);
  EXPECT_GE(found["predictions"]["n_windows"], 2) << "the built-in text is longer than a window";
}

// The models are the same, and what b caches is not.
TEST_F(Diff, NarrowCachesOfTheSecondModelDiverge) {
  const std::string text = folder_.write("text", "A glacier is a river of ice. It moves by its own weight.");
  double before = 0;
  for (const char* bits : {"32", "16", "8"}) {
    const auto found =
        json_of(diff(tiny_model(), tiny_model(), {"--json", "--text", text, "--kv-bits", bits}), 0);
    EXPECT_EQ(found["is_same"], true);
    const double kl = found["predictions"]["kl_mean"];
    EXPECT_LT(kl, 1e-3) << bits;
    if (before > 0 || std::string_view(bits) == "16") {
      EXPECT_GT(kl, before) << bits;
    } else {
      EXPECT_EQ(kl, 0);
    }
    before = kl;
  }
  expect_failure(kTrouble, "--kv-bits: expected 32, 16 or 8, got \"4\"",
                 {"diff", tiny_model(), tiny_model(), "--kv-bits", "4"});
}

TEST_F(Diff, AnotherFormWithTheSameValuesIsTheSame) {
  const auto gguf = folder_.path() / "x.gguf";
  output_of({"convert", tiny_model(), gguf, "--dtype", "f32"});
  const Finished finished =
      diff(tiny_model(), gguf, {"--text", folder_.write("text", "A glacier is a river of ice.")});
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  expect_part(finished, "  25 tensors are BF16 in a, F32 in b\n");
  expect_part(finished, "tensors: 0 of 86 differ\n");
  // By default activations would be rounded to 8 bits for the one and not for the other.
  expect_part(finished, "KL divergence of b from a 0 nats in the mean, 0 for all but 0.1 %, 0 at most");
  EXPECT_TRUE(finished.out.ends_with("\nthe same\n")) << finished.out;
}

TEST_F(Diff, OneChangedElementIsNamed) {
  const auto model = copy_model(toy_model(), folder_.path() / "model");
  put_nan(model / "model.safetensors", "transformer.layers.1.feed_forward.up_proj.weight");
  const Finished finished = diff(toy_model(), model);
  EXPECT_EQ(finished.exit_code, kDifferent);
  EXPECT_TRUE(finished.err.starts_with("lille: warning: ")) << finished.err;
  expect_part(finished, "  transformer.layers.1.feed_forward.up_proj.weight: error inf at (0, 0)");
  expect_part(finished, "tensors: 1 of 23 differ, ");
  expect_part(finished, "predictions: not compared, ");
  expect_part(finished, "has no tokenizer\n");
  EXPECT_TRUE(finished.out.ends_with("\ndifferent\n")) << finished.out;
}

TEST_F(Diff, OfAnotherShapeAsFarAsItGoes) {
  const auto found = json_of(diff(tiny_model(), toy_model(), {"--json"}), kDifferent);
  EXPECT_EQ(found["arguments"]["n_layer"], nlohmann::json({12, 3}));
  EXPECT_EQ(found["predictions"], nullptr);
  EXPECT_EQ(found["predictions_left_out"], "the vocabularies have 32768 and 512 tokens");
  EXPECT_EQ(found["tensors"][0]["name"], "transformer.tok_embeddings.weight");
  EXPECT_EQ(found["tensors"][0]["shape_b"], nlohmann::json({512, 128}));
  EXPECT_FALSE(found["tensors"][0].contains("max_error"));
}

TEST_F(Diff, AnotherTokenIsADifference) {
  const auto model = copy_model(tiny_model(), folder_.path() / "model");
  std::string config = read_file(model / "vocab.json");
  // Tokens of one byte are no merges, so two of them may change places.
  const auto vocabulary = nlohmann::json::parse(config);
  auto changed = vocabulary;
  changed["A"] = vocabulary["B"];
  changed["B"] = vocabulary["A"];
  folder_.write("model/vocab.json", changed.dump());
  const Finished finished = diff(tiny_model(), model);
  EXPECT_EQ(finished.exit_code, kDifferent) << finished.err;
  const std::string difference = "token " + vocabulary["A"].dump() + " is \"A\" in a, \"B\" in b\n";
  expect_part(finished, "tokenizer: " + difference);
  expect_part(finished, "predictions: not compared, " + difference);
}

TEST_F(Diff, TheLayoutInUseIsAnArgument) {
  const auto model = copy_model(tiny_model(), folder_.path() / "model");
  auto config = nlohmann::json::parse(read_file(model / "config.json"));
  config["rope_layout"] = "half";
  folder_.write("model/config.json", config.dump());
  const auto found = json_of(diff(tiny_model(), model, {"--json"}), kDifferent);
  EXPECT_EQ(found["arguments"]["rope_layout"], nlohmann::json({"interleaved", "half"}));
  EXPECT_EQ(found["max_error"], 0);
  EXPECT_GT(found["predictions"]["kl_mean"], 0.1);
  EXPECT_EQ(json_of(diff(tiny_model(), model, {"--json", "--rope", "half"}), 0)["is_same"], true);
}

TEST_F(Diff, WhatCannotBeComparedIsNoDifferenceAndPrintsNothing) {
  expect_failure(kTrouble, "nothing there", {"diff", tiny_model(), folder_.path() / "nowhere"});
  expect_failure(kTrouble, "no such file", {"diff", tiny_model(), tiny_model(), "--text", "/no/such/file"});
  expect_failure(kWrongUsage, "expected a text, got an empty file",
                 {"diff", tiny_model(), tiny_model(), "--text", folder_.write("empty", "")});
  expect_failure(kWrongUsage, "b is required", {"diff", tiny_model()});
  RunOptions options;
  options.stdout_file = "/dev/full";
  expect_failure(kTrouble, "[stdout]", {"diff", toy_model(), toy_model()}, options);
  expect_failure(kTrouble, "[stdout]", {"diff", "--help"}, options);
}

}  // namespace
}  // namespace lille::test
