#include <cmath>

#include "cli/program.h"

namespace lille::test {
namespace {

// So many ids of little-endian uint16, all below 512.
std::string some_ids(int n_ids) {
  std::string bytes;
  for (int idx = 0; idx < n_ids; ++idx) {
    const int id = idx * 37 % 512;
    bytes.push_back(static_cast<char>(id & 0xff));
    bytes.push_back(static_cast<char>(id >> 8));
  }
  return bytes;
}

TEST(Perplexity, EqualToTheExpectedLossOfTheValidationText) {
  LILLE_NEED_SHARED();
  constexpr std::size_t kWindows = 2;
  const TemporaryFolder folder;
  const auto ids = folder.write(
      "ids", read_file(shared_path("checkpoints/validation_ids.u16")).substr(0, 2 * (512 * kWindows + 1)));
  const auto expected = nlohmann::json::parse(read_file(shared_path("checkpoints/expected.json")));
  double loss = 0;
  for (std::size_t idx = 0; idx < kWindows; ++idx)
    loss += expected["loss_of_each_window"]["lille-tiny-8bit"]["interleaved"][idx].get<double>() / kWindows;
  const auto result =
      nlohmann::json::parse(output_of({"perplexity", "--ids-file", ids, "--exact", "--json"}));
  EXPECT_NEAR(result["loss"].get<double>(), loss, 1e-5 * loss);
  EXPECT_NEAR(result["perplexity"].get<double>(), std::exp(loss), 2e-5 * loss * std::exp(loss));
  EXPECT_EQ(result["windows"], kWindows);
}

TEST(Perplexity, JsonHasThreeFields) {
  const TemporaryFolder folder;
  const auto ids = folder.write("ids", some_ids(64 * 3 + 1 + 40));
  const auto result =
      nlohmann::json::parse(output_of({"perplexity", "--ids-file", ids, "--json", "--model", toy_model()}));
  EXPECT_EQ(result.size(), 3U);
  EXPECT_EQ(result["windows"], 3);
  EXPECT_DOUBLE_EQ(result["perplexity"].get<double>(), std::exp(result["loss"].get<double>()));
}

TEST(Perplexity, TextIsItsTokens) {
  const TemporaryFolder folder;
  std::string text;
  for (int word_idx = 0; word_idx < 520; ++word_idx) text += " the";
  std::string ids;
  for (int word_idx = 0; word_idx < 520; ++word_idx) ids += std::string("\x06\x01", 2);  // " the" is 262
  EXPECT_EQ(output_of({"perplexity", "--text", folder.write("text", text), "--json"}),
            output_of({"perplexity", "--ids-file", folder.write("ids", ids), "--json"}));
}

TEST(Perplexity, TextOutputSaysWhatWasMeasured) {
  const TemporaryFolder folder;
  const auto ids = folder.write("ids", some_ids(65));
  const std::string text = output_of({"perplexity", "--ids-file", ids, "--model", toy_model()});
  EXPECT_TRUE(text.starts_with("perplexity ")) << text;
  EXPECT_NE(text.find("over 1 window of 64 tokens\n"), std::string::npos) << text;
}

TEST(Perplexity, TooShort) {
  const TemporaryFolder folder;
  for (const int n_ids : {0, 1, 64})
    expect_failure(
        kWrongUsage, "65",
        {"perplexity", "--ids-file", folder.write("ids", some_ids(n_ids)), "--model", toy_model()});
  expect_failure(kWrongUsage, "513", {"perplexity", "--text", folder.write("text", "short")});
}

TEST(Perplexity, OddNumberOfBytes) {
  const TemporaryFolder folder;
  expect_failure(kWrongUsage, "expected two bytes for each id, got an odd number of bytes, 2051",
                 {"perplexity", "--ids-file", folder.write("ids", some_ids(1025) + "x")});
}

TEST(Perplexity, IdsOutsideTheVocabulary) {
  const TemporaryFolder folder;
  expect_failure(kWrongUsage, "65535",
                 {"perplexity", "--ids-file", folder.write("ids", some_ids(1024) + "\xff\xff")});
}

TEST(Perplexity, OneOfTextAndIds) {
  const TemporaryFolder folder;
  const auto file = folder.write("ids", some_ids(600));
  expect_failure(kWrongUsage, "expected --text or --ids-file, one of them", {"perplexity"});
  expect_failure(kWrongUsage, "expected --text or --ids-file, one of them",
                 {"perplexity", "--text", file, "--ids-file", file});
}

TEST(Perplexity, NoSuchFile) {
  expect_failure(kFailed, "/no/such/file: no such file", {"perplexity", "--text", "/no/such/file"});
  expect_failure(kFailed, "expected a regular file, got a folder", {"perplexity", "--text", "/"});
}

}  // namespace
}  // namespace lille::test
