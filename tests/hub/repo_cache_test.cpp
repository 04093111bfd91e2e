#include "hub/repo_cache.h"

#include <gtest/gtest.h>

#include "hub/fake_hub.h"

namespace lille {
namespace {

namespace fs = std::filesystem;
using test::kFirstCommit;

const HubName kRepo{.owner = "owner", .name = "name"};

TEST(RepoCache, LaysFilesOutAsPythonDoes) {
  const test::TemporaryFolder root;
  const RepoCache cache(root.path(), kRepo);
  cache.make_folders(kFirstCommit);
  std::ofstream(cache.blob("etag")) << "content";
  cache.link(kFirstCommit, "config.json", "etag");
  cache.write_ref(kFirstCommit);
  cache.remember_missing(kFirstCommit, "Hastings.pkl");

  const fs::path folder = root.path() / "models--owner--name";
  const fs::path link = folder / "snapshots" / kFirstCommit / "config.json";
  EXPECT_EQ(fs::read_symlink(link), "../../blobs/etag");
  EXPECT_EQ(test::read_file(link), "content");
  EXPECT_EQ(test::read_file(folder / "refs/main"), kFirstCommit);
  EXPECT_EQ(test::read_file(folder / ".no_exist" / kFirstCommit / "Hastings.pkl"), "");
  EXPECT_EQ(cache.lock("etag"), root.path() / ".locks/models--owner--name/etag.lock");
  EXPECT_EQ(cache.incomplete_blob("etag"), folder / "blobs/etag.incomplete");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder / "snapshots" / kFirstCommit), {}), 1);
}

TEST(RepoCache, LinksOverALinkThatIsThere) {
  const test::TemporaryFolder root;
  const RepoCache cache(root.path(), kRepo);
  cache.make_folders(kFirstCommit);
  fs::create_symlink("../../blobs/gone", cache.snapshot(kFirstCommit) / "config.json");
  EXPECT_FALSE(cache.has(kFirstCommit, "config.json"));
  std::ofstream(cache.blob("etag")) << "content";
  cache.link(kFirstCommit, "config.json", "etag");
  EXPECT_TRUE(cache.has(kFirstCommit, "config.json"));
}

TEST(RepoCache, KnowsTheCommitOfARevision) {
  const test::TemporaryFolder root;
  EXPECT_EQ(RepoCache(root.path(), kRepo).commit(), std::nullopt);
  fs::create_directories(root.path() / "models--owner--name/refs/pr");
  root.write("models--owner--name/refs/main", std::string(kFirstCommit) + "\n");
  root.write("models--owner--name/refs/pr/1", kFirstCommit);
  root.write("models--owner--name/refs/bad", "../../elsewhere");
  const auto commit_of = [&](const std::string& revision) {
    return RepoCache(root.path(), {.owner = "owner", .name = "name", .revision = revision}).commit();
  };
  EXPECT_EQ(commit_of("main"), kFirstCommit);
  EXPECT_EQ(commit_of("pr/1"), kFirstCommit);
  EXPECT_EQ(commit_of("bad"), std::nullopt);
  EXPECT_EQ(commit_of("missing"), std::nullopt);
  EXPECT_EQ(commit_of(test::kSecondCommit), test::kSecondCommit);
}

TEST(RepoCache, IsUsableWithConfigAndEveryWeight) {
  const test::TemporaryFolder root;
  const RepoCache cache(root.path(), kRepo);
  cache.make_folders(kFirstCommit);
  const fs::path snapshot = cache.snapshot(kFirstCommit);
  EXPECT_FALSE(cache.is_usable(kFirstCommit));
  std::ofstream(snapshot / "config.json") << "{}";
  EXPECT_FALSE(cache.is_usable(kFirstCommit));
  std::ofstream(snapshot / "model.safetensors") << "x";
  EXPECT_TRUE(cache.is_usable(kFirstCommit));
  std::ofstream(snapshot / "model.safetensors.index.json")
      << R"({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})";
  EXPECT_FALSE(cache.is_usable(kFirstCommit));
  std::ofstream(snapshot / "model-1.safetensors") << "x";
  EXPECT_FALSE(cache.is_usable(kFirstCommit));
  std::ofstream(snapshot / "model-2.safetensors") << "x";
  EXPECT_TRUE(cache.is_usable(kFirstCommit));
  std::ofstream(snapshot / "model.safetensors.index.json")
      << R"({"weight_map": {"a": "../model.safetensors"}})";
  EXPECT_FALSE(cache.is_usable(kFirstCommit));
}

TEST(RepoCache, AGgufFileIsTheModelOnlyWhereItIsKnownThatThereIsNoFolder) {
  const std::vector<std::vector<std::string>> proofs = {
      {"config.json"}, {"model.safetensors", "model.safetensors.index.json"}};
  for (const std::vector<std::string>& proof : proofs) {
    const test::TemporaryFolder root;
    const RepoCache cache(root.path(), kRepo);
    cache.make_folders(kFirstCommit);
    const fs::path snapshot = cache.snapshot(kFirstCommit);
    std::ofstream(snapshot / "a.gguf") << "x";
    for (const std::string& missing : proof) {
      EXPECT_EQ(cache.model(kFirstCommit), snapshot) << missing;
      EXPECT_FALSE(cache.is_usable(kFirstCommit)) << missing;
      cache.remember_missing(kFirstCommit, missing);
    }
    EXPECT_EQ(cache.model(kFirstCommit), snapshot / "a.gguf");
    EXPECT_TRUE(cache.is_usable(kFirstCommit));
    std::ofstream(snapshot / "b.gguf") << "x";
    EXPECT_EQ(cache.gguf_files(kFirstCommit), (std::vector<std::string>{"a.gguf", "b.gguf"}));
    EXPECT_EQ(cache.model(kFirstCommit), snapshot) << "one of two";
  }
}

TEST(RepoCache, IsCompleteWhenNothingIsLeftToAsk) {
  const test::TemporaryFolder root;
  const RepoCache cache(root.path(), kRepo);
  cache.make_folders(kFirstCommit);
  for (const char* file : {"config.json", "model.safetensors", "vocab.json", "merges.txt"})
    std::ofstream(cache.snapshot(kFirstCommit) / file) << "x";
  EXPECT_TRUE(cache.is_usable(kFirstCommit));
  EXPECT_FALSE(cache.is_complete(kFirstCommit));
  for (const char* file : {"generation_config.json", "tokenizer_config.json", "special_tokens_map.json",
                           "chat_template.jinja", "tokenizer.json", "Hastings.pkl"})
    cache.remember_missing(kFirstCommit, file);
  EXPECT_FALSE(cache.is_complete(kFirstCommit));
  cache.remember_missing(kFirstCommit, "model.safetensors.index.json");
  EXPECT_TRUE(cache.is_complete(kFirstCommit));
}

TEST(RepoCache, NeedsAFolder) {
  test::expect_error(ErrorCode::kInvalidArgument, "HF_HOME", [] { RepoCache({}, kRepo); });
}

}  // namespace
}  // namespace lille
