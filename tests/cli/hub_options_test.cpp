#include "cli/program.h"
#include "hub/fake_hub.h"

namespace lille::test {
namespace {

namespace fs = std::filesystem;

/// What the hub saw of `lille pull` under an environment: the tokens of all requests.
std::vector<std::string> tokens_under(const std::vector<std::string>& variables) {
  FakeHub hub;
  const TemporaryFolder cache;
  RunOptions options;
  options.environment = {"HF_ENDPOINT=" + hub.endpoint(), "HF_HUB_CACHE=" + cache.path().string()};
  options.environment.insert(options.environment.end(), variables.begin(), variables.end());
  const Finished finished = run_lille({"pull", "owner/name"}, options);
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  std::vector<std::string> tokens;
  for (const Request& request : hub.server().requests()) tokens.push_back(request.header("authorization"));
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  return tokens;
}

TEST(HubOptions, TheTokenComesFromTheVariableOrAFile) {
  const TemporaryFolder folder;
  const std::string file = folder.write("token", "hf_file\n").string();
  const std::string home = "HF_HOME=" + folder.path().string();
  using Tokens = std::vector<std::string>;
  EXPECT_EQ(tokens_under({}), (Tokens{""}));
  EXPECT_EQ(tokens_under({"HF_TOKEN=hf_variable", home}), (Tokens{"Bearer hf_variable"}));
  EXPECT_EQ(tokens_under({"HUGGING_FACE_HUB_TOKEN=hf_older"}), (Tokens{"Bearer hf_older"}));
  EXPECT_EQ(tokens_under({home}), (Tokens{"Bearer hf_file"}));
  EXPECT_EQ(tokens_under({"HF_TOKEN= ", "HF_TOKEN_PATH=" + file}), (Tokens{"Bearer hf_file"}));
  EXPECT_EQ(tokens_under({"HF_TOKEN_PATH=/nowhere/token", home}), (Tokens{""}));
}

/// Where `lille models` looks under an environment.
std::string cache_under(const std::vector<std::string>& variables) {
  RunOptions options;
  options.environment = variables;
  const Finished finished = run_lille({"models"}, options);
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  const std::string text = finished.err;
  return text.substr(std::string("lille: ").size(),
                     text.find(" holds no models") - std::string("lille: ").size());
}

TEST(HubOptions, TheCacheIsWherePythonHasIt) {
  EXPECT_EQ(cache_under({"HOME=/user"}), "/user/.cache/huggingface/hub");
  EXPECT_EQ(cache_under({"HOME=/user", "XDG_CACHE_HOME=/xdg"}), "/xdg/huggingface/hub");
  EXPECT_EQ(cache_under({"HOME=/user", "XDG_CACHE_HOME=/xdg", "HF_HOME=/hf"}), "/hf/hub");
  EXPECT_EQ(cache_under({"HOME=/user", "HF_HOME=~/hf"}), "/user/hf/hub");
  EXPECT_EQ(cache_under({"HF_HOME=/hf", "HUGGINGFACE_HUB_CACHE=/older"}), "/older");
  EXPECT_EQ(cache_under({"HF_HOME=/hf", "HUGGINGFACE_HUB_CACHE=/older", "HF_HUB_CACHE=/cache"}), "/cache");
  RunOptions nowhere;
  nowhere.environment = {"HOME"};
  expect_failure(kFailed, "set HOME or HF_HOME", {"models"}, nowhere);
}

TEST(HubOptions, BadOnesAreNamed) {
  RunOptions options;
  options.environment = {"HF_ENDPOINT=hub.example"};
  expect_failure(kWrongUsage, "HF_ENDPOINT: expected a URL", {"pull", "owner/name"}, options);
  options.environment = {"HF_TOKEN=a b"};
  expect_failure(kWrongUsage, "HF_TOKEN", {"pull", "owner/name"}, options);
}

TEST(HubOptions, ATokenIsNotShown) {
  RunOptions options;
  options.environment = {"HF_TOKEN=hf_secret\tx"};
  EXPECT_EQ(run_lille({"pull", "owner/name"}, options).err.find("hf_secret"), std::string::npos);
}

TEST(HubOptions, CertificatesComeFromTheVariable) {
  const TestServer server([](const Request&) { return Reply{}; });
  RunOptions options;
  options.environment = {"HF_ENDPOINT=https://127.0.0.1:" + std::to_string(server.port()),
                         "SSL_CERT_FILE=/nowhere/certificates.pem"};
  expect_failure(kFailed, "CURL_CA_BUNDLE names a file of certificates", {"pull", "owner/name"}, options);
}

}  // namespace
}  // namespace lille::test
