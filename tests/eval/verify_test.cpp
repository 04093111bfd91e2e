#include "lille/verify.h"

#include <functional>
#include <nlohmann/json.hpp>

#include "lille/tokenizer.h"
#include "model/golden.h"

namespace lille {
namespace {

class Verified : public testing::Test {
 protected:
  Verified() {
    for (const auto& entry : std::filesystem::directory_iterator(test::source_path("models/lille-tiny-8bit")))
      std::filesystem::copy_file(entry.path(), path() / entry.path().filename());
  }

  const std::filesystem::path& path() const { return folder_.path(); }

  void edit(const char* name, const std::function<void(nlohmann::json&)>& change) {
    nlohmann::json json = nlohmann::json::parse(test::read_file(path() / name));
    change(json);
    folder_.write(name, json.dump());
  }

  // Expects that exactly these checks did not pass.
  static void expect_faults(const VerifyReport& report, const std::vector<std::string>& names) {
    std::vector<std::string> found;
    for (const Check& check : report.checks)
      if (check.result != CheckResult::kPassed) found.push_back(check.name);
    EXPECT_EQ(found, names);
    EXPECT_EQ(report.is_well(), names.empty());
  }

  static std::string text_of(const VerifyReport& report, std::string_view name) {
    for (const Check& check : report.checks)
      if (check.name == name) return check.text;
    return "";
  }

  test::TemporaryFolder folder_;
};

TEST_F(Verified, AGoodModelIsWellAndItsPositionsAddUp) {
  const VerifyReport report = verify_model(path());
  expect_faults(report, {});
  EXPECT_EQ(report.form, "MLX-quantised folder");
  EXPECT_EQ(report.n_tensors, 1 + 12 * 7 + 1);
  EXPECT_NEAR(report.bits_per_weight, 8.5, 0.01);
  EXPECT_FALSE(report.continuation.empty());
  // Means over ranges of positions, weighted by their predictions, are the mean over all.
  ASSERT_EQ(report.rope_positions.size(), 4u);
  EXPECT_EQ(report.rope_positions.back().end, 512);
  int64_t n_predictions = 0;
  std::vector<double> losses(3);
  for (const RopePositions& range : report.rope_positions) {
    EXPECT_EQ(range.n_predictions, 2 * (range.end - range.begin)) << "the text is two contexts long";
    n_predictions += range.n_predictions;
    for (std::size_t idx = 0; idx < 3; ++idx)
      losses[idx] += static_cast<double>(range.n_predictions) * std::log(range.perplexities[idx].perplexity);
  }
  EXPECT_EQ(n_predictions, 1024);
  for (std::size_t idx = 0; idx < 3; ++idx)
    EXPECT_NEAR(losses[idx] / 1024, std::log(report.measured_rope.perplexities[idx].perplexity), 1e-9);
}

TEST_F(Verified, AConfigurationThatIsWrongIsNoEndOfTheReport) {
  edit("config.json", [](nlohmann::json& config) { config.erase("n_layer"); });
  const VerifyReport report = verify_model(path());
  expect_faults(report, {"configuration", "weights", "values", "rotary layout", "continuation"});
  EXPECT_NE(text_of(report, "configuration").find("n_layer"), std::string::npos);
}

TEST_F(Verified, MissingFilesAreNamed) {
  std::filesystem::remove(path() / "model.safetensors");
  std::filesystem::remove(path() / "merges.txt");
  const VerifyReport report = verify_model(path());
  expect_faults(report, {"files", "weights", "values", "tokenizer", "rotary layout", "continuation"});
  EXPECT_EQ(report.missing,
            (std::vector<std::string>{"model.safetensors",
                                      "vocab.json and merges.txt, tokenizer.json or Hastings.pkl"}));
}

TEST_F(Verified, FormsOfTheTokenizerThatDisagree) {
  const std::filesystem::path other = path() / "other";
  std::filesystem::create_directory(other);
  Tokenizer::load(path()).save(other);
  std::filesystem::copy_file(other / "tokenizer.json", path() / "tokenizer.json");
  expect_faults(verify_model(path()), {});
  edit("tokenizer.json", [](nlohmann::json& json) {
    nlohmann::json& vocab = json["model"]["vocab"];
    std::swap(vocab["A"], vocab["B"]);
  });
  const VerifyReport report = verify_model(path());
  expect_faults(report, {"tokenizer", "rotary layout", "continuation"});
  EXPECT_NE(
      text_of(report, "tokenizer").find("is \"A\" in the tokenizer that is used, \"B\" in tokenizer.json"),
      std::string::npos)
      << text_of(report, "tokenizer");
}

TEST_F(Verified, AnotherChatTemplate) {
  edit("tokenizer_config.json", [](nlohmann::json& json) { json["chat_template"] = "{{ other }}"; });
  expect_faults(verify_model(path()), {"chat template"});
}

TEST_F(Verified, ALayoutThatTheWeightsAreNotMadeFor) {
  edit("config.json", [](nlohmann::json& config) { config["rope_layout"] = "half"; });
  const VerifyReport report = verify_model(path());
  expect_faults(report, {"rotary layout"});
  EXPECT_NE(text_of(report, "rotary layout").find("half is used, but interleaved is clearly better"),
            std::string::npos);
}

TEST_F(Verified, NothingThere) {
  test::expect_error(ErrorCode::kNotFound, "got nothing there", [&] { verify_model(path() / "no"); });
  VerifyOptions options;
  options.kernels = "abacus";
  test::expect_error(ErrorCode::kInvalidArgument, "abacus", [&] { verify_model(path(), options); });
}

}  // namespace
}  // namespace lille
