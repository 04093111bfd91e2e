#include <cmath>
#include <sstream>

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

TEST(Perplexity, JsonHasTheNumbersAndTheProtocol) {
  const TemporaryFolder folder;
  const auto ids = folder.write("ids", some_ids(64 * 3 + 1 + 40));
  const auto result =
      nlohmann::json::parse(output_of({"perplexity", "--ids-file", ids, "--json", "--model", toy_model()}));
  EXPECT_EQ(result["windows"], 3);
  EXPECT_EQ(result["n_tokens"], 64 * 3);
  EXPECT_DOUBLE_EQ(result["perplexity"].get<double>(), std::exp(result["loss"].get<double>()));
  EXPECT_DOUBLE_EQ(result["perplexity_stderr"].get<double>(),
                   result["perplexity"].get<double>() * result["loss_stderr"].get<double>());
  EXPECT_TRUE(result["bits_per_byte"].is_null()) << "the model has no tokenizer";
  EXPECT_EQ(
      result["protocol"],
      nlohmann::json::parse(R"({"window": 64, "stride": 64, "bos": false, "n_ids": 233, "n_left_out": 40,
                                 "exact": false, "kv_bits": 32})"));
  ASSERT_EQ(result["positions"].size(), 7U);
  EXPECT_EQ(result["positions"][6]["end"], 64);
}

TEST(Perplexity, BitsAreThoseOfThePredictedBytes) {
  const TemporaryFolder folder;
  std::string text;
  for (int word_idx = 0; word_idx < 300; ++word_idx) text += word_idx % 2 == 0 ? " the" : " river";
  const auto result = nlohmann::json::parse(output_of(
      {"perplexity", "--text", folder.write("text", text), "--json", "--window", "100", "--stride", "50"}));
  // Each word is a token. 1 + 100 + 3 * 50 of 300 fill windows, the first of which is read only.
  EXPECT_EQ(result["n_tokens"], 250);
  EXPECT_EQ(result["n_bytes"], 125 * 4 + 125 * 6);
  EXPECT_EQ(result["protocol"]["n_left_out"], 49);
  EXPECT_DOUBLE_EQ(result["bits_per_byte"].get<double>(),
                   250 * result["loss"].get<double>() / std::log(2.0) / (125 * 4 + 125 * 6));
}

TEST(Perplexity, TheLossOfEachTokenIsWritten) {
  const TemporaryFolder folder;
  std::string text;
  for (int word_idx = 0; word_idx < 60; ++word_idx) text += " the \xf0\x9f\x8e\x89";
  const auto file = folder.write("text", text);
  const auto out = folder.path() / "tokens.jsonl";
  const auto result = nlohmann::json::parse(
      output_of({"perplexity", "--text", file, "--json", "--bos", "--window", "32", "--tokens", out}));
  std::istringstream lines(read_file(out));
  double sum = 0;
  int n_lines = 0;
  std::vector<std::string> texts;
  for (std::string line; std::getline(lines, line); ++n_lines) {
    const auto token = nlohmann::json::parse(line);
    EXPECT_EQ(token["index"], n_lines);
    EXPECT_EQ(token["position"], n_lines % 32);
    sum += token["loss"].get<double>();
    texts.push_back(token["text"]);
  }
  EXPECT_EQ(result["n_tokens"], n_lines);
  EXPECT_EQ(texts.at(0), " the");
  EXPECT_NE(std::ranges::find(texts, "\ufffd"), texts.end()) << "a part of a character";
  EXPECT_NEAR(sum / n_lines, result["loss"].get<double>(), 1e-12);
  expect_failure(kFailed, "no such folder",
                 {"perplexity", "--text", file, "--tokens", (folder.path() / "no" / "tokens").string()});
}

TEST(Perplexity, WindowsOutOfRange) {
  const TemporaryFolder folder;
  const auto file = folder.write("ids", some_ids(600));
  expect_failure(kWrongUsage, "window: expected a number from 1 to 512, got 513",
                 {"perplexity", "--ids-file", file, "--window", "513"});
  expect_failure(kWrongUsage, "stride: expected a number from 1 to 100, got 101",
                 {"perplexity", "--ids-file", file, "--window", "100", "--stride", "101"});
  expect_failure(kWrongUsage, "--window: expected a whole number",
                 {"perplexity", "--ids-file", file, "--window", "x"});
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
  EXPECT_NE(text.find("\n       32-63        32 "), std::string::npos) << text;
  EXPECT_NE(
      text.find(
          "\nprotocol: window 64, stride 64, without <|startoftext|>; 64 of 65 tokens predicted, each once, "
          "0 at the end left out; mean over tokens; the error takes tokens as independent; kv_bits 32\n"),
      std::string::npos)
      << text;
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
