#include <regex>

#include "cli/program.h"

namespace lille::test {
namespace {

void expect_bad_option(const std::string& flag, const std::string& value, const std::string& part) {
  SCOPED_TRACE(flag + " " + value);
  expect_failure(kWrongUsage, flag + ": expected a " + part, {"generate", "hi", flag, value});
}

TEST(Options, Temperature) {
  expect_bad_option("--temperature", "-1", "number from 0 to 1000000, got -1");
  expect_bad_option("--temperature", "nan", "number from 0 to 1000000, got nan");
  expect_bad_option("--temperature", "inf", "number from 0 to 1000000, got inf");
  expect_bad_option("--temperature", "1e39", "number from 0 to 1000000, got \"1e39\"");
  expect_bad_option("--temperature", "abc", "number from 0 to 1000000, got \"abc\"");
  expect_bad_option("--temperature", "0.5x", "number from 0 to 1000000, got \"0.5x\"");
  expect_bad_option("--temperature", "", "number from 0 to 1000000, got \"\"");
}

TEST(Options, TopP) {
  expect_bad_option("--top-p", "2", "number from 0 to 1, got 2");
  expect_bad_option("--top-p", "nan", "number from 0 to 1, got nan");
  expect_bad_option("--top-p", "-0.1", "number from 0 to 1, got -0.1");
}

TEST(Options, Seed) {
  const std::string range = "whole number from 0 to 18446744073709551615, got ";
  expect_bad_option("--seed", "-1", range + "\"-1\"");
  expect_bad_option("--seed", "18446744073709551616", range + "\"18446744073709551616\"");
  expect_bad_option("--seed", "1.5", range + "\"1.5\"");
  expect_bad_option("--seed", "abc", range + "\"abc\"");
  expect_bad_option("--seed", "0x10", range + "\"0x10\"");
}

TEST(Options, Threads) {
  expect_bad_option("--threads", "-1", "number from 0 to 1024, got -1");
  expect_bad_option("--threads", "5000", "number from 0 to 1024, got 5000");
  expect_bad_option("--threads", "abc", "whole number from 0 to 1024, got \"abc\"");
}

TEST(Options, MaxTokens) {
  expect_bad_option("--max-tokens", "-1", "number from 0 to 1000000000, got -1");
  expect_bad_option("--max-tokens", "2000000000", "number from 0 to 1000000000, got 2000000000");
  expect_bad_option("--max-tokens", "99999999999999999999",
                    "whole number from 0 to 1000000000, got \"99999999999999999999\"");
}

TEST(Options, EveryRealNumberRefusesWhatIsNoNumber) {
  for (const char* flag : {"--temperature", "--top-p", "--min-p", "--xtc-probability", "--xtc-threshold",
                           "--repetition-penalty", "--presence-penalty", "--frequency-penalty"}) {
    for (const char* value : {"nan", "inf", "-inf", "-1e7", "1e7"})
      expect_bad_option(flag, value, "number from ");
    for (const char* value : {"1e999", "abc", "0x1", ""}) expect_bad_option(flag, value, "number from ");
    EXPECT_EQ(run_lille({"generate", "hi", "--max-tokens", "1", flag, "-0"}).exit_code, 0) << flag;
  }
}

TEST(Options, EveryWholeNumberRefusesNegativeAndHuge) {
  for (const char* flag :
       {"--max-tokens", "--top-k", "--min-tokens-to-keep", "--repetition-context-size",
        "--presence-context-size", "--frequency-context-size", "--top-logprobs", "--threads"}) {
    for (const char* value : {"-1", "2000000000"}) expect_bad_option(flag, value, "number from ");
    for (const char* value : {"99999999999999999999", "1.5", "abc"})
      expect_bad_option(flag, value, "whole number from ");
  }
}

TEST(Options, OneThatStandsTwice) {
  expect_failure(kWrongUsage, "--seed", {"generate", "hi", "--seed", "1", "--seed", "2"});
}

TEST(Options, Rope) {
  for (const char* command : {"generate", "info"}) {
    std::vector<std::string> arguments = {command, "--rope", "sideways"};
    if (std::string_view(command) == "generate") arguments.emplace_back("hi");
    expect_failure(kWrongUsage, "--rope: expected interleaved, half or original, got \"sideways\"",
                   arguments);
  }
}

TEST(Kernels, UnknownNameIsAnErrorThatNamesTheVariable) {
  RunOptions options;
  options.environment = {"LILLE_FORCE_ISA=sse9"};
  expect_failure(kWrongUsage, "LILLE_FORCE_ISA: ", {"info"}, options);
  expect_failure(kWrongUsage, "got 'sse9'", {"generate", "hi"}, options);
  expect_failure(kWrongUsage, "LILLE_FORCE_ISA: ", {"info", "--system"}, options);
}

TEST(Kernels, ReferenceRunsWhenItIsForced) {
  RunOptions options;
  options.environment = {"LILLE_FORCE_ISA=reference"};
  const Finished finished =
      run_lille({"generate", "hi", "--max-tokens", "1", "--temp", "0", "--verbose"}, options);
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_NE(finished.err.find("reference q8 kernels"), std::string::npos) << finished.err;
  EXPECT_EQ(finished.out, output_of({"generate", "hi", "--max-tokens", "1", "--temp", "0"}));
}

TEST(ModelFolder, ThatIsNotThere) {
  expect_failure(kFailed, "/no/such/folder: expected a folder", {"info", "--model", "/no/such/folder"});
}

TEST(ModelFolder, ThatIsAFile) {
  expect_failure(kFailed, "got a file", {"info", "--model", tiny_model() / "config.json"});
}

TEST(ModelFolder, WithoutAModel) {
  const TemporaryFolder folder;
  expect_failure(kFailed, "config.json", {"info", "--model", folder.path()});
  std::filesystem::copy_file(tiny_model() / "config.json", folder.path() / "config.json");
  expect_failure(kFailed, "model.safetensors", {"info", "--model", folder.path()});
}

TEST(ModelFolder, WithAnyCharactersAndASlashAtTheEnd) {
  const TemporaryFolder folder;
  const auto model = copy_model(tiny_model(), folder.path() / "\xce\xa9 \xc3\xbc \xe6\xbc\xa2 ' \" $x");
  const std::string text = output_of({"generate", "hi", "--max-tokens", "4", "--temp", "0"});
  EXPECT_EQ(output_of({"generate", "hi", "--max-tokens", "4", "--temp", "0", "--model", model}), text);
  EXPECT_EQ(
      output_of({"generate", "hi", "--max-tokens", "4", "--temp", "0", "--model", model.string() + "/"}),
      text);
}

TEST(ModelFolder, WithANameThatIsNoUtf8) {
  const TemporaryFolder folder;
  const auto model = copy_model(toy_model(), folder.path() / "\xff\xfe");
  EXPECT_EQ(run_lille({"info", "--model", model}).exit_code, 0);
  EXPECT_EQ(run_lille({"info", "--json", "--model", model}).exit_code, 0);
}

TEST(ModelFolder, WhoseIndexNamesAMissingShard) {
  const TemporaryFolder folder;
  const auto model = copy_model(toy_model(), folder.path() / "model");
  folder.write("model/model.safetensors.index.json",
               R"({"weight_map": {"transformer.norm.weight": "model-00001-of-00002.safetensors"}})");
  expect_failure(kFailed, "model-00001-of-00002.safetensors", {"info", "--model", model});
}

TEST(ModelFolder, WhoseIndexLeavesTheFolder) {
  const TemporaryFolder folder;
  const auto model = copy_model(toy_model(), folder.path() / "model");
  std::filesystem::copy_file(model / "model.safetensors", folder.path() / "x");
  folder.write("model/model.safetensors.index.json",
               R"({"weight_map": {"transformer.norm.weight": "../x"}})");
  expect_failure(kFailed, "../x", {"info", "--model", model});
}

// The model that comes with the program, without the key that names its layout.
std::filesystem::path nameless_model(const TemporaryFolder& folder) {
  const auto model = copy_model(tiny_model(), folder.path() / "model");
  auto config = nlohmann::json::parse(read_file(model / "config.json"));
  config.erase("rope_layout");
  folder.write("model/config.json", config.dump());
  return model;
}

void expect_one_line_about_the_layout(const std::string& text) {
  const std::regex line(
      "lille: rope layout: interleaved, measured over [0-9]+ tokens \\(perplexity interleaved [0-9.]+, half "
      "[0-9.]+, "
      "original [0-9.]+\\); --rope overrides it\n");
  EXPECT_TRUE(std::regex_match(text, line)) << text;
}

const std::vector<std::string> kOneToken = {"generate", "hi", "--max-tokens", "1", "--temp", "0", "--model"};

std::vector<std::string> one_token(const std::filesystem::path& model) {
  std::vector<std::string> arguments = kOneToken;
  arguments.push_back(model);
  return arguments;
}

TEST(RopeLayout, IsMeasuredOnceSaidOnceAndRemembered) {
  const TemporaryFolder folder;
  const auto model = nameless_model(folder);
  RunOptions options;
  options.environment = {"XDG_CACHE_HOME=" + (folder.path() / "cache").string()};
  const Finished first = run_lille(one_token(model), options);
  EXPECT_EQ(first.exit_code, 0);
  expect_one_line_about_the_layout(first.err);
  EXPECT_FALSE(std::filesystem::is_empty(folder.path() / "cache/lille"));
  EXPECT_EQ(output_of(one_token(model), options), first.out);
  EXPECT_EQ(output_of(one_token(tiny_model()), options), first.out);
  const auto info = nlohmann::json::parse(output_of({"info", "--json", "--model", model}, options));
  EXPECT_EQ(info["rope_layout_source"], "remembered");
}

TEST(RopeLayout, IsMeasuredAgainWhenTheFileChanges) {
  const TemporaryFolder folder;
  const auto model = nameless_model(folder);
  RunOptions options;
  options.environment = {"XDG_CACHE_HOME=" + (folder.path() / "cache").string()};
  EXPECT_EQ(run_lille(one_token(model), options).exit_code, 0);
  const auto weights = model / "model.safetensors";
  std::filesystem::last_write_time(weights,
                                   std::filesystem::last_write_time(weights) + std::chrono::seconds(5));
  expect_one_line_about_the_layout(run_lille(one_token(model), options).err);
}

TEST(RopeLayout, HomeIsUsedWhereThereIsNoXdgCacheHome) {
  const TemporaryFolder folder;
  RunOptions options;
  options.environment = {"HOME=" + folder.path().string()};
  expect_one_line_about_the_layout(run_lille(one_token(nameless_model(folder)), options).err);
  EXPECT_FALSE(std::filesystem::is_empty(folder.path() / ".cache/lille"));
}

TEST(RopeLayout, CacheThatCannotBeWrittenIsNoError) {
  const TemporaryFolder folder;
  const auto model = nameless_model(folder);
  folder.write("file", "");
  for (const std::string& cache :
       {std::string("XDG_CACHE_HOME=/proc/none"), "XDG_CACHE_HOME=" + (folder.path() / "file").string()}) {
    RunOptions options;
    options.environment = {cache};
    const Finished finished = run_lille(one_token(model), options);
    EXPECT_EQ(finished.exit_code, 0);
    expect_one_line_about_the_layout(finished.err);
  }
}

TEST(RopeLayout, HomeUnsetWorks) {
  const TemporaryFolder folder;
  RunOptions options;
  options.environment = {"HOME", "XDG_CACHE_HOME"};
  const Finished finished = run_lille(one_token(nameless_model(folder)), options);
  EXPECT_EQ(finished.exit_code, 0);
  expect_one_line_about_the_layout(finished.err);
}

TEST(RopeLayout, FlagDecidesWithoutMeasuring) {
  const TemporaryFolder folder;
  const auto model = nameless_model(folder);
  for (const char* layout : {"interleaved", "half", "original"}) {
    const auto info =
        nlohmann::json::parse(output_of({"info", "--json", "--rope", layout, "--model", model}));
    EXPECT_EQ(info["rope_layout"], layout);
    EXPECT_EQ(info["rope_layout_source"], "requested");
  }
}

}  // namespace
}  // namespace lille::test
