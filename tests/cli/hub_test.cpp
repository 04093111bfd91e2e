#include <fmt/format.h>

#include <thread>

#include "cli/program.h"
#include "hub/fake_hub.h"

namespace lille::test {
namespace {

namespace fs = std::filesystem;

/// The program with a hub and a cache of its own.
class HubCommands : public testing::Test {
 protected:
  RunOptions environment(std::vector<std::string> more = {}) const {
    RunOptions options;
    options.environment = {"HF_ENDPOINT=" + hub_.endpoint(), "HF_HUB_CACHE=" + cache_.path().string()};
    options.environment.insert(options.environment.end(), more.begin(), more.end());
    return options;
  }

  RunOptions unreachable() const { return environment({"HF_ENDPOINT=http://127.0.0.1:1"}); }

  std::string snapshot(const std::string& commit = kFirstCommit) const {
    return (cache_.path() / "models--owner--name/snapshots" / commit).string();
  }

  void pull() const {
    const Finished finished = run_lille({"pull", "owner/name"}, environment());
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    EXPECT_EQ(finished.out, snapshot() + "\n");
  }

  TemporaryFolder cache_;
  // Waits until the first part of the weights is on the disk, then kills the program that downloads them.
  void kill_in_the_middle() const {
    while (n_kept_bytes() < kFirstPart) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    kill(std::stoi(read_file(pid_file_)), SIGKILL);
  }

  std::uintmax_t n_kept_bytes() const {
    for (const auto& entry : fs::directory_iterator(cache_.path() / "models--owner--name/blobs"))
      if (entry.path().extension() == ".incomplete") return entry.file_size();
    return 0;
  }

  static constexpr std::size_t kFirstPart = 1'000'000;

  TemporaryFolder folder_;
  fs::path pid_file_ = folder_.path() / "pid";
  std::atomic<double> chunk_wait_s_ = 0;
  std::atomic<bool> is_killing_ = false;
  FakeHub hub_{repo_of(tiny_model()), [this](const Request& request, const Reply& usual) {
                 Reply reply = usual;
                 reply.chunk_wait_s = chunk_wait_s_;
                 if (is_killing_ && request.method == "GET" && request.target.ends_with(".safetensors")) {
                   reply.cut_after = kFirstPart;
                   reply.stays_open = true;
                   reply.on_sent = [this] { kill_in_the_middle(); };
                 }
                 return reply;
               }};
};

const std::vector<std::string> kGenerate = {"generate", "Once upon", "--max-tokens", "4",
                                            "--temp",   "0",         "--model"};

std::vector<std::string> generate_with(const std::string& model) {
  std::vector<std::string> arguments = kGenerate;
  arguments.push_back(model);
  return arguments;
}

TEST_F(HubCommands, AModelIsDownloadedAndUsed) {
  const Finished finished = run_lille(generate_with("owner/name"), environment());
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_EQ(finished.out, output_of(generate_with(tiny_model().string())));
  EXPECT_TRUE(finished.err.starts_with("lille: downloading owner/name, commit 1111111: 6 files, "))
      << finished.err;
  EXPECT_FALSE(fs::exists(fs::path(snapshot()) / "README.md"));
  EXPECT_EQ(output_of(generate_with("owner/name"), environment()), finished.out);
  EXPECT_EQ(output_of(generate_with(std::string("owner/name@") + kFirstCommit), unreachable()), finished.out);
}

TEST_F(HubCommands, EveryCommandTakesANameOfTheHub) {
  pull();
  const RunOptions offline = environment({"HF_HUB_OFFLINE=1"});
  EXPECT_EQ(output_of({"tokenize", "hi", "--model", "owner/name"}, offline), output_of({"tokenize", "hi"}));
  EXPECT_EQ(output_of({"detokenize", "72", "--model", "owner/name"}, offline),
            output_of({"detokenize", "72"}));
  EXPECT_NE(output_of({"info", "--model", "owner/name"}, offline).find(snapshot()), std::string::npos);
}

TEST_F(HubCommands, AHubThatCannotBeReachedIsANoteWhereTheCacheHasTheModel) {
  pull();
  const Finished finished = run_lille({"info", "--model", "owner/name"}, unreachable());
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_TRUE(finished.err.starts_with("lille: using the copy of owner/name in the cache")) << finished.err;
}

TEST_F(HubCommands, AnErrorNamesBothReadings) {
  expect_failure(
      kFailed, "other/name: no file or folder here is called so, and as a model of the hub: [hub] other/name",
      {"info", "--model", "other/name"}, environment());
  expect_failure(kFailed, "look at the network", {"info", "--model", "owner/name"}, unreachable());
  expect_failure(kFailed, "unset HF_HUB_OFFLINE", {"info", "--model", "owner/name"},
                 environment({"HF_HUB_OFFLINE=yes"}));
  expect_failure(kWrongUsage, "expected OWNER/NAME", {"pull", "name"}, environment());
}

TEST_F(HubCommands, TwoProcessesDownloadOnce) {
  chunk_wait_s_ = 0.005;
  detail::Running first({"pull", "owner/name"}, environment());
  detail::Running second({"pull", "owner/name"}, environment());
  const std::array<Finished, 2> both = {first.wait(), second.wait()};
  for (const Finished& finished : both) {
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    EXPECT_EQ(finished.out, snapshot() + "\n");
  }
  EXPECT_EQ(hub_.server().count("GET", "model.safetensors"), 2);  // the index and the weights, each once
  EXPECT_EQ(read_file(snapshot() + "/model.safetensors"), read_file(tiny_model() / "model.safetensors"));
}

TEST_F(HubCommands, AKilledDownloadGoesOn) {
  is_killing_ = true;
  RunOptions killed = environment();
  killed.wrapper = {"/bin/sh", "-c", "echo $$ >'" + pid_file_.string() + "'; exec \"$0\" \"$@\""};
  EXPECT_EQ(run_lille({"pull", "owner/name"}, killed).signal, SIGKILL);
  EXPECT_FALSE(fs::exists(snapshot() + "/model.safetensors"));
  is_killing_ = false;
  pull();
  EXPECT_EQ(read_file(snapshot() + "/model.safetensors"), read_file(tiny_model() / "model.safetensors"));
  const std::vector<Request> requests = hub_.server().requests();
  EXPECT_TRUE(std::any_of(requests.begin(), requests.end(), [](const Request& request) {
    return request.header("range") == fmt::format("bytes={}-", kFirstPart);
  }));
}

TEST_F(HubCommands, ModelsAreListed) {
  EXPECT_EQ(output_of({"models", "--json"}, environment()), "[]\n");
  pull();
  const std::string table = output_of({"models"}, environment());
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 2) << table;
  EXPECT_NE(table.find("owner/name  main (1111111)"), std::string::npos) << table;
  EXPECT_NE(table.find(snapshot() + "\n"), std::string::npos) << table;
  const auto list = nlohmann::json::parse(output_of({"models", "--json"}, environment()));
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0]["name"], "owner/name");
  EXPECT_EQ(list[0]["commit"], kFirstCommit);
  EXPECT_EQ(list[0]["refs"], nlohmann::json::array({"main"}));
  int64_t n_bytes = 0;
  for (const auto& entry : fs::directory_iterator(snapshot()))
    n_bytes += static_cast<int64_t>(fs::file_size(entry));
  EXPECT_EQ(list[0]["n_bytes"], n_bytes);
}

TEST_F(HubCommands, NothingIsRemovedWithoutAnAnswer) {
  pull();
  const Finished finished = run_lille({"models", "rm", "owner/name"}, environment());
  EXPECT_EQ(finished.exit_code, kWrongUsage);
  EXPECT_NE(finished.err.find("--yes"), std::string::npos) << finished.err;
  EXPECT_TRUE(fs::exists(snapshot()));
}

TEST_F(HubCommands, ModelsAreRemoved) {
  pull();
  RunOptions no = environment();
  no.stdin_text = "n\n";
  const Finished kept = run_lille({"models", "rm", "owner/name"}, no);
  EXPECT_EQ(kept.exit_code, 0);
  EXPECT_NE(kept.err.find("Remove owner/name (1 revision, "), std::string::npos) << kept.err;
  EXPECT_TRUE(fs::exists(snapshot()));
  RunOptions yes = environment();
  yes.stdin_text = "y\n";
  EXPECT_EQ(run_lille({"models", "rm", "owner/name"}, yes).exit_code, 0);
  EXPECT_FALSE(fs::exists(cache_.path() / "models--owner--name"));
  expect_failure(kFailed, "owner/name: expected it in the cache", {"models", "rm", "owner/name", "--yes"},
                 environment());
  pull();
  const Finished removed = run_lille({"models", "rm", "owner/name@main", "--yes"}, environment());
  EXPECT_TRUE(removed.err.starts_with("lille: removed owner/name (1 revision, ")) << removed.err;
  EXPECT_FALSE(fs::exists(snapshot()));
}

}  // namespace
}  // namespace lille::test
