#include <gtest/gtest.h>

#include "base/file_lock.h"
#include "hub/fake_hub.h"
#include "hub/repo_cache.h"
#include "lille/hub.h"

namespace lille {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::FakeHub;
using test::FakeRepo;
using test::kFirstCommit;
using test::kSecondCommit;
using test::Reply;
using test::repo_of;
using test::Request;

/// A cache of its own, and the current folder in an empty one, where texts may be paths.
class Resolve : public testing::Test {
 protected:
  void SetUp() override { fs::current_path(here_.path()); }
  void TearDown() override { fs::current_path("/"); }

  HubOptions options_for(const std::string& endpoint) {
    HubOptions options;
    options.endpoint = endpoint;
    options.cache_folder = cache_.path();
    options.first_wait_s = 0.01;
    options.n_attempts = 3;
    options.timeout_s = 120;  // of silence: a machine may have other things to do
    options.on_note = [this](std::string_view message) { notes_ += std::string(message) + "\n"; };
    return options;
  }

  fs::path snapshot(const std::string& commit) const {
    return cache_.path() / "models--owner--name/snapshots" / commit;
  }

  std::vector<std::string> files_of(const fs::path& folder) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  test::TemporaryFolder here_;
  test::TemporaryFolder cache_;
  std::string notes_;
};

constexpr const char* kNowhere = "http://127.0.0.1:1";

TEST_F(Resolve, APathIsAPath) {
  const HubOptions options = options_for(kNowhere);
  fs::create_directories("models/tiny");
  for (const char* text :
       {"./a/b", "../a/b", "/a/b", "~/a", "a", "a/b/c", "models/tiny", "models", "a b/c", ""})
    EXPECT_EQ(resolve_model(text, options), fs::path(text)) << text;
  EXPECT_EQ(notes_, "");
}

TEST_F(Resolve, AFolderHereIsMeantBeforeTheHub) {
  fs::create_directories("owner/name");
  FakeHub hub;
  EXPECT_EQ(resolve_model("owner/name", options_for(hub.endpoint())), "owner/name");
  EXPECT_TRUE(hub.server().requests().empty());
}

TEST_F(Resolve, ATypoInAFolderHereIsNotAskedFor) {
  fs::create_directories("owner");
  FakeHub hub;
  expect_error(
      ErrorCode::kNotFound,
      "owner/name: expected a folder, got none of this name; it is not looked for on the hub either, because "
      "owner is here",
      [&] { resolve_model("owner/name", options_for(hub.endpoint())); });
  EXPECT_TRUE(hub.server().requests().empty());
}

TEST_F(Resolve, NamesBothReadings) {
  FakeHub hub;
  expect_error(
      ErrorCode::kNotFound,
      "other/name: no file or folder here is called so, and as a model of the hub: [hub] other/name: " +
          hub.endpoint() + " has no such model",
      [&] { resolve_model("other/name", options_for(hub.endpoint())); });
}

TEST_F(Resolve, DownloadsWhatIsNeeded) {
  FakeHub hub;
  const fs::path folder = resolve_model("owner/name", options_for(hub.endpoint()));
  EXPECT_EQ(folder, snapshot(kFirstCommit));
  EXPECT_EQ(files_of(folder),
            (std::vector<std::string>{"config.json", "merges.txt", "model.safetensors", "vocab.json"}));
  EXPECT_EQ(test::read_file(folder / "model.safetensors"), repo_of().files.at("model.safetensors"));
  EXPECT_EQ(test::read_file(cache_.path() / "models--owner--name/refs/main"), kFirstCommit);
  EXPECT_EQ(notes_, "downloading owner/name, commit 1111111: 4 files, 0.3 MB\n");
}

TEST_F(Resolve, AsksOneSmallQuestionWhereNothingChanged) {
  FakeHub hub;
  const HubOptions options = options_for(hub.endpoint());
  resolve_model("owner/name", options);
  const std::size_t n_before = hub.server().requests().size();
  EXPECT_EQ(resolve_model("owner/name", options), snapshot(kFirstCommit));
  EXPECT_EQ(hub.server().requests().size(), n_before + 1);
}

TEST_F(Resolve, ACommitIsAskedForOnlyOnce) {
  FakeHub hub;
  const std::string name = std::string("owner/name@") + kFirstCommit;
  EXPECT_EQ(resolve_model(name, options_for(hub.endpoint())), snapshot(kFirstCommit));
  EXPECT_FALSE(fs::exists(cache_.path() / "models--owner--name/refs"));
  EXPECT_EQ(resolve_model(name, options_for(kNowhere)), snapshot(kFirstCommit));
  EXPECT_EQ(
      notes_,
      "downloading owner/name@1111111111111111111111111111111111111111, commit 1111111: 4 files, 0.3 MB\n");
}

TEST_F(Resolve, FollowsARefThatMoved) {
  FakeHub hub;
  const HubOptions options = options_for(hub.endpoint());
  resolve_model("owner/name", options);
  FakeRepo next = repo_of();
  next.commit = kSecondCommit;
  next.files["config.json"] = "{\"changed\": true}";
  hub.set_repo(next);
  EXPECT_EQ(resolve_model("owner/name", options), snapshot(kSecondCommit));
  EXPECT_EQ(test::read_file(snapshot(kSecondCommit) / "config.json"), "{\"changed\": true}");
  EXPECT_EQ(test::read_file(cache_.path() / "models--owner--name/refs/main"), kSecondCommit);
  // What did not change is not fetched again.
  EXPECT_EQ(hub.server().count("GET", "model.safetensors"), 1);
  EXPECT_EQ(hub.server().count("GET", "config.json"), 2);
  EXPECT_TRUE(fs::exists(snapshot(kFirstCommit) / "config.json"));
}

TEST_F(Resolve, UsesTheCacheWhereTheHubCannotBeReached) {
  {
    FakeHub hub;
    resolve_model("owner/name", options_for(hub.endpoint()));
  }
  notes_.clear();
  EXPECT_EQ(resolve_model("owner/name", options_for(kNowhere)), snapshot(kFirstCommit));
  EXPECT_TRUE(notes_.starts_with(
      "using the copy of owner/name in the cache, commit 1111111; it could not be compared"))
      << notes_;
  expect_error(ErrorCode::kIo, "look at the network",
               [&] { pull_model("owner/name", options_for(kNowhere)); });
}

TEST_F(Resolve, UsesTheCacheWhereTheHubRefuses) {
  std::atomic<int> status = 200;
  FakeHub hub(repo_of(), [&](const Request&, const Reply& usual) {
    return status == 200 ? usual : Reply{.status = status, .body = "<html>"};
  });
  const HubOptions options = options_for(hub.endpoint());
  resolve_model("owner/name", options);
  for (const int refusal : {401, 404, 429, 503, 302}) {
    status = refusal;
    const std::size_t n_before = hub.server().requests().size();
    EXPECT_EQ(resolve_model("owner/name", options), snapshot(kFirstCommit)) << refusal;
    EXPECT_EQ(hub.server().requests().size(), n_before + 1) << refusal;
    EXPECT_THROW(pull_model("owner/name", options), Error) << refusal;
  }
}

TEST_F(Resolve, OfflineUsesTheCacheOnly) {
  FakeHub hub;
  HubOptions options = options_for(hub.endpoint());
  options.offline = true;
  expect_error(ErrorCode::kNotFound,
               "HF_HUB_OFFLINE forbids to ask the hub, got nothing in " + cache_.path().string(),
               [&] { resolve_model("owner/name", options); });
  options.offline = false;
  resolve_model("owner/name", options);
  const std::size_t n_before = hub.server().requests().size();
  options.offline = true;
  EXPECT_EQ(resolve_model("owner/name", options), snapshot(kFirstCommit));
  EXPECT_EQ(pull_model("owner/name", options), snapshot(kFirstCommit));
  fs::remove(snapshot(kFirstCommit) / "model.safetensors");
  expect_error(ErrorCode::kNotFound, "got a part of it", [&] { resolve_model("owner/name", options); });
  EXPECT_EQ(hub.server().requests().size(), n_before);
}

// What Python's snapshot_download leaves: links, a ref, no mark for files that do not exist.
TEST_F(Resolve, ASnapshotOfPythonGetsOnlyWhatIsMissing) {
  FakeHub hub;
  const FakeRepo repo = repo_of();
  const fs::path folder = cache_.path() / "models--owner--name";
  for (const char* part : {"blobs", "refs"}) fs::create_directories(folder / part);
  fs::create_directories(snapshot(kFirstCommit));
  std::ofstream(folder / "refs/main") << kFirstCommit;
  for (const char* file : {"config.json", "model.safetensors", "merges.txt"}) {
    const std::string etag = FakeHub::etag_of(file, repo.files.at(file));
    std::ofstream(folder / "blobs" / etag, std::ios::binary) << repo.files.at(file);
    fs::create_symlink("../../blobs/" + etag, snapshot(kFirstCommit) / file);
  }
  EXPECT_EQ(resolve_model("owner/name", options_for(hub.endpoint())), snapshot(kFirstCommit));
  EXPECT_EQ(test::read_file(snapshot(kFirstCommit) / "vocab.json"), "{}");
  EXPECT_EQ(hub.server().count("GET", "/resolve/"), 1);
  EXPECT_EQ(hub.server().count("GET", "vocab.json"), 1);
}

TEST_F(Resolve, DownloadsTheShardsThatTheIndexNames) {
  FakeRepo repo = repo_of();
  repo.files.erase("model.safetensors");
  repo.files["model-1.safetensors"] = "first";
  repo.files["model-2.safetensors"] = "second";
  repo.files["model-3.safetensors"] = "of another checkpoint";
  repo.files["model.safetensors.index.json"] =
      R"({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})";
  FakeHub hub(repo);
  const fs::path folder = resolve_model("owner/name", options_for(hub.endpoint()));
  EXPECT_EQ(files_of(folder),
            (std::vector<std::string>{"config.json", "merges.txt", "model-1.safetensors",
                                      "model-2.safetensors", "model.safetensors.index.json", "vocab.json"}));
}

// A file larger than the disk, most of which is there already.
TEST_F(Resolve, SpaceIsNeededOnlyForWhatIsToCome) {
  const auto n_bytes = static_cast<int64_t>(fs::space(cache_.path()).available) + (int64_t{64} << 30);
  const std::string etag(64, 'a');
  FakeHub hub(repo_of(), [&](const Request& request, const Reply& usual) -> std::optional<Reply> {
    if (!request.target.ends_with("model.safetensors")) return usual;
    if (request.method == "GET") return Reply{.status = 404};
    return Reply{.headers = {{"X-Linked-Etag", etag}, {"X-Linked-Size", std::to_string(n_bytes)}}};
  });
  const HubOptions options = options_for(hub.endpoint());
  expect_error(ErrorCode::kIo, "of free space", [&] { pull_model("owner/name", options); });
  const fs::path blobs = cache_.path() / "models--owner--name/blobs";
  std::ofstream(blobs / (etag + ".incomplete")) << "x";
  fs::resize_file(blobs / (etag + ".incomplete"), static_cast<std::uintmax_t>(n_bytes) - 5);
  expect_error(ErrorCode::kNotFound, "no such file", [&] { pull_model("owner/name", options); });
  fs::rename(blobs / (etag + ".incomplete"), blobs / etag);
  fs::resize_file(blobs / etag, static_cast<std::uintmax_t>(n_bytes));
  EXPECT_EQ(pull_model("owner/name", options), snapshot(kFirstCommit));
}

TEST_F(Resolve, TheNoteCountsWhatIsToCome) {
  FakeHub hub;
  const std::string content = repo_of().files.at("model.safetensors");
  const fs::path blobs = cache_.path() / "models--owner--name/blobs";
  fs::create_directories(blobs);
  std::ofstream(blobs / (FakeHub::etag_of("model.safetensors", content) + ".incomplete"))
      << content.substr(0, 200'000);
  resolve_model("owner/name", options_for(hub.endpoint()));
  EXPECT_EQ(notes_, "downloading owner/name, commit 1111111: 4 files, 0.1 MB\n");
  EXPECT_EQ(test::read_file(snapshot(kFirstCommit) / "model.safetensors"), content);
}

TEST_F(Resolve, ATokenIsLookedForOnlyWhereTheHubIsAsked) {
  FakeHub hub;
  HubOptions options = options_for(hub.endpoint());
  int n_asked = 0;
  options.find_token = [&n_asked] {
    ++n_asked;
    return std::string("hf_found");
  };
  resolve_model("./x", options);
  EXPECT_EQ(n_asked, 0);
  resolve_model("owner/name", options);
  EXPECT_EQ(n_asked, 1);
  for (const Request& request : hub.server().requests())
    EXPECT_EQ(request.header("authorization"), "Bearer hf_found") << request.target;
  options.offline = true;
  resolve_model("owner/name", options);
  EXPECT_EQ(n_asked, 1);
}

TEST_F(Resolve, RefusesAnIndexThatLeadsElsewhere) {
  FakeRepo repo = repo_of();
  repo.files["model.safetensors.index.json"] = R"({"weight_map": {"a": "../../../evil.safetensors"}})";
  FakeHub hub(repo);
  expect_error(ErrorCode::kCorruptFile, "may not lead out of its folder",
               [&] { resolve_model("owner/name", options_for(hub.endpoint())); });
  repo.files["model.safetensors.index.json"] = R"({"weight_map": {"a": "missing.safetensors"}})";
  repo.commit = kSecondCommit;
  hub.set_repo(repo);
  expect_error(ErrorCode::kNotFound, "missing.safetensors",
               [&] { resolve_model("owner/name", options_for(hub.endpoint())); });
}

TEST_F(Resolve, RefusesAListingWithAPathThatLeadsElsewhere) {
  FakeRepo repo = repo_of();
  repo.files["../../../config.json"] = "{}";
  FakeHub hub(repo);
  expect_error(ErrorCode::kCorruptFile, "got \"../../../config.json\"",
               [&] { resolve_model("owner/name", options_for(hub.endpoint())); });
  EXPECT_FALSE(fs::exists(cache_.path() / "models--owner--name"));
}

TEST_F(Resolve, RefusesARepositoryWithoutAModel) {
  FakeRepo repo;
  repo.files = {{"pytorch_model.bin", "x"}, {"deeper/model.gguf", "x"}};
  FakeHub hub(repo);
  expect_error(ErrorCode::kNotFound, "expected config.json and model.safetensors",
               [&] { resolve_model("owner/name", options_for(hub.endpoint())); });
}

TEST_F(Resolve, TheOnlyGgufFileIsTheModel) {
  FakeRepo repo;
  repo.files = {{"model.gguf", "weights"}, {"README.md", "x"}};
  FakeHub hub(repo);
  HubOptions options = options_for(hub.endpoint());
  EXPECT_EQ(resolve_model("owner/name", options), snapshot(kFirstCommit) / "model.gguf");
  EXPECT_EQ(test::read_file(snapshot(kFirstCommit) / "model.gguf"), "weights");
  EXPECT_EQ(files_of(snapshot(kFirstCommit)), std::vector<std::string>{"model.gguf"});
  EXPECT_EQ(notes_, "downloading owner/name, commit 1111111: 1 file, 0.0 MB\n");
  const std::string pinned = std::string("owner/name@") + kFirstCommit;
  const std::size_t n_before = hub.server().requests().size();
  EXPECT_EQ(resolve_model(pinned, options), snapshot(kFirstCommit) / "model.gguf");
  EXPECT_EQ(hub.server().requests().size(), n_before) << "a commit that is whole asks nothing";
  options.offline = true;
  EXPECT_EQ(resolve_model("owner/name", options), snapshot(kFirstCommit) / "model.gguf");
}

// A file that was asked for by its name says nothing of what else the repository has.
TEST_F(Resolve, APulledGgufFileIsNotTheModelOfARepositoryWithAFolder) {
  FakeRepo repo = repo_of();
  repo.files["small.gguf"] = "small";
  FakeHub hub(repo);
  HubOptions options = options_for(hub.endpoint());
  const fs::path file = snapshot(kFirstCommit) / "small.gguf";
  EXPECT_EQ(pull_model("owner/name:small.gguf", options), file);
  options.offline = true;
  expect_error(ErrorCode::kNotFound,
               "got a part of it in " + cache_.path().string() +
                   ". Hint: name the file that is there, owner/name:small.gguf, or unset HF_HUB_OFFLINE",
               [&] { resolve_model("owner/name", options); });
  EXPECT_EQ(resolve_model("owner/name:small.gguf", options), file);
  options.offline = false;
  EXPECT_EQ(resolve_model("owner/name", options), snapshot(kFirstCommit));
}

// Repositories of GGUF files often have a config.json without weights.
TEST_F(Resolve, AConfigurationWithoutWeightsIsNoFolder) {
  FakeRepo repo;
  repo.files = {{"model.gguf", "weights"}, {"config.json", "{}"}};
  FakeHub hub(repo);
  HubOptions options = options_for(hub.endpoint());
  const fs::path file = snapshot(kFirstCommit) / "model.gguf";
  EXPECT_EQ(resolve_model("owner/name", options), file);
  options.offline = true;
  EXPECT_EQ(resolve_model("owner/name", options), file);
}

// The hub is asked about the shards when the index is there and nothing else is on its way.
TEST_F(Resolve, NothingIsRemovedBetweenTwoFilesOfADownload) {
  FakeRepo repo = repo_of();
  repo.files.erase("model.safetensors");
  repo.files["model-1.safetensors"] = "first";
  repo.files["model.safetensors.index.json"] = R"({"weight_map": {"a": "model-1.safetensors"}})";
  std::string refusal;
  FakeHub hub(repo, [&](const Request& request, const Reply&) -> std::optional<Reply> {
    if (request.method == "HEAD" && request.target.ends_with("model-1.safetensors")) try {
        remove_model("owner/name", cache_.path());
      } catch (const Error& error) {
        refusal = error.what();
      }
    return std::nullopt;
  });
  const fs::path folder = resolve_model("owner/name", options_for(hub.endpoint()));
  EXPECT_NE(refusal.find("got one of which the repository is locked"), std::string::npos) << refusal;
  EXPECT_TRUE(fs::exists(folder / "model.safetensors.index.json"));
  remove_model("owner/name", cache_.path());
  EXPECT_FALSE(fs::exists(folder));
}

TEST_F(Resolve, WaitsWhileTheModelIsRemoved) {
  FakeHub hub;
  HubOptions options = options_for(hub.endpoint());
  const fs::path lock = RepoCache(cache_.path(), {.owner = "owner", .name = "name"}).repo_lock();
  fs::create_directories(lock.parent_path());
  const std::optional<FileLock> removal = FileLock::try_lock(lock);
  std::stop_source source;
  options.cancel = source.get_token();
  options.on_note = [&](std::string_view message) {
    notes_ += message;
    source.request_stop();
  };
  expect_error(ErrorCode::kCanceled, "canceled", [&] { resolve_model("owner/name", options); });
  EXPECT_EQ(notes_, "another process removes owner/name; waiting for it");
}

TEST_F(Resolve, OneOfSeveralGgufFilesIsNamed) {
  FakeRepo repo;
  repo.files = {{"a-Q4_K.gguf", "small"}, {"b-Q8_0.gguf", "large"}};
  FakeHub hub(repo);
  HubOptions options = options_for(hub.endpoint());
  expect_error(
      ErrorCode::kInvalidArgument,
      "expected one GGUF file, got 2. Hint: name one as owner/name:a-Q4_K.gguf; there are a-Q4_K.gguf, "
      "b-Q8_0.gguf",
      [&] { resolve_model("owner/name", options); });
  expect_error(ErrorCode::kNotFound, "there are a-Q4_K.gguf, b-Q8_0.gguf",
               [&] { resolve_model("owner/name:c.gguf", options); });
  EXPECT_EQ(resolve_model("owner/name:b-Q8_0.gguf", options), snapshot(kFirstCommit) / "b-Q8_0.gguf");
  EXPECT_EQ(files_of(snapshot(kFirstCommit)), std::vector<std::string>{"b-Q8_0.gguf"});
  const std::string pinned = std::string("owner/name@") + kFirstCommit + ":b-Q8_0.gguf";
  const std::size_t n_before = hub.server().requests().size();
  EXPECT_EQ(pull_model(pinned, options), snapshot(kFirstCommit) / "b-Q8_0.gguf");
  EXPECT_EQ(hub.server().requests().size(), n_before);
  options.offline = true;
  EXPECT_EQ(resolve_model("owner/name:b-Q8_0.gguf", options), snapshot(kFirstCommit) / "b-Q8_0.gguf");
  expect_error(ErrorCode::kNotFound, "HF_HUB_OFFLINE",
               [&] { resolve_model("owner/name:a-Q4_K.gguf", options); });
}

TEST_F(Resolve, AFailedDownloadLeavesNoRef) {
  FakeHub hub(repo_of(), [](const Request& request, const Reply& usual) -> std::optional<Reply> {
    if (request.method == "GET" && request.target.ends_with("model.safetensors"))
      return Reply{.body = std::string(300'003, 'X')};
    return usual;
  });
  expect_error(ErrorCode::kCorruptFile, "SHA-256",
               [&] { resolve_model("owner/name", options_for(hub.endpoint())); });
  EXPECT_FALSE(fs::exists(cache_.path() / "models--owner--name/refs/main"));
  HubOptions offline = options_for(hub.endpoint());
  offline.offline = true;
  expect_error(ErrorCode::kNotFound, "HF_HUB_OFFLINE", [&] { resolve_model("owner/name", offline); });
}

TEST_F(Resolve, PullTakesOnlyNamesOfTheHub) {
  fs::create_directories("owner/name");
  FakeHub hub;
  EXPECT_EQ(pull_model("owner/name", options_for(hub.endpoint())), snapshot(kFirstCommit));
  for (const char* text : {"", "name", "./owner/name", "owner/name/file", "owner/name@.."})
    expect_error(ErrorCode::kInvalidArgument, "expected OWNER/NAME",
                 [&] { pull_model(text, options_for(kNowhere)); });
}

TEST_F(Resolve, NeedsACacheFolder) {
  HubOptions options = options_for(kNowhere);
  options.cache_folder.clear();
  expect_error(ErrorCode::kInvalidArgument, "set HOME or HF_HOME",
               [&] { resolve_model("owner/name", options); });
}

}  // namespace
}  // namespace lille
