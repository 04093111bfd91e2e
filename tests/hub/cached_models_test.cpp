#include <gtest/gtest.h>

#include <algorithm>

#include "base/file_lock.h"
#include "hub/fake_hub.h"
#include "hub/repo_cache.h"
#include "lille/hub.h"

namespace lille {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::kFirstCommit;
using test::kSecondCommit;

/// A cache with two revisions of one model, which share a blob, and parts of others.
class CachedModels : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* part : {"blobs", "refs/pr"}) fs::create_directories(model_ / part);
    add(kFirstCommit, "config.json", "config", "12345");
    add(kFirstCommit, "model.safetensors", "first", "0123456789");
    add(kSecondCommit, "config.json", "config", "12345");
    add(kSecondCommit, "model.safetensors", "second", "01234567890123456789");
    std::ofstream(model_ / "refs/main") << kSecondCommit;
    std::ofstream(model_ / "refs/pr/1") << kSecondCommit;
    fs::create_directories(model_ / ".no_exist" / kFirstCommit);
    std::ofstream(model_ / ".no_exist" / kFirstCommit / "Hastings.pkl");
  }

  void add(const std::string& commit, const std::string& file, const std::string& etag,
           const std::string& content) {
    fs::create_directories(model_ / "snapshots" / commit);
    std::ofstream(model_ / "blobs" / etag) << content;
    fs::create_symlink("../../blobs/" + etag, model_ / "snapshots" / commit / file);
  }

  void remove(const std::string& name) { remove_model(name, root_); }

  bool has_blob(const char* etag) const { return fs::exists(model_ / "blobs" / etag); }

  test::TemporaryFolder cache_;
  fs::path root_ = fs::canonical(cache_.path());
  fs::path model_ = root_ / "models--owner--name";
};

TEST_F(CachedModels, AreListedByRevision) {
  const std::vector<CachedModel> models = cached_models(root_);
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0].name, "owner/name");
  EXPECT_EQ(models[0].commit, kFirstCommit);
  EXPECT_TRUE(models[0].refs.empty());
  EXPECT_EQ(models[0].n_bytes, 15);
  EXPECT_EQ(models[0].folder, model_ / "snapshots" / kFirstCommit);
  EXPECT_EQ(models[1].commit, kSecondCommit);
  EXPECT_EQ(models[1].refs, (std::vector<std::string>{"main", "pr/1"}));
  EXPECT_EQ(models[1].n_bytes, 25);
}

TEST_F(CachedModels, AreNoneWhereThereIsNoCache) { EXPECT_TRUE(cached_models(root_ / "missing").empty()); }

TEST_F(CachedModels, PartsOfAFirstDownloadAreListedToo) {
  fs::create_directories(root_ / "models--a--b/blobs");
  std::ofstream(root_ / "models--a--b/blobs/x.incomplete") << "123";
  const std::vector<CachedModel> models = cached_models(root_);
  ASSERT_EQ(models.size(), 3u);
  EXPECT_EQ(models[0].name, "a/b");
  EXPECT_EQ(models[0].commit, "");
  EXPECT_EQ(models[0].n_bytes, 3);
  remove("a/b");
  EXPECT_FALSE(fs::exists(root_ / "models--a--b"));
}

TEST_F(CachedModels, OtherThingsInTheCacheAreNotModels) {
  for (const char* other :
       {"datasets--a--b", "models--gpt2", ".locks/models--a--b", "models--a--b--c", "other"})
    fs::create_directories(root_ / other);
  fs::create_directory_symlink("models--owner--name", root_ / "models--link--name");
  EXPECT_EQ(cached_models(root_).size(), 2u);
}

TEST_F(CachedModels, ARevisionIsRemovedWithWhatOnlyItHas) {
  const ModelRemoval removal = plan_removal("owner/name@main", root_);
  EXPECT_EQ(removal.n_revisions, 1);
  EXPECT_EQ(removal.n_bytes, 20);
  EXPECT_TRUE(has_blob("second"));
  EXPECT_EQ(remove_model("owner/name@main", root_).paths, removal.paths);
  EXPECT_FALSE(has_blob("second"));
  EXPECT_TRUE(has_blob("config"));
  EXPECT_TRUE(has_blob("first"));
  EXPECT_FALSE(fs::exists(model_ / "refs/main"));
  EXPECT_FALSE(fs::exists(model_ / "refs/pr/1"));
  EXPECT_FALSE(fs::exists(model_ / "snapshots" / kSecondCommit));
  EXPECT_TRUE(fs::exists(model_ / "snapshots" / kFirstCommit / "config.json"));
}

TEST_F(CachedModels, ACommitMayBeShortened) {
  remove("owner/name@1111111");
  EXPECT_FALSE(fs::exists(model_ / "snapshots" / kFirstCommit));
  EXPECT_FALSE(fs::exists(model_ / ".no_exist" / kFirstCommit));
  EXPECT_FALSE(has_blob("first"));
  EXPECT_TRUE(fs::exists(model_ / "refs/main"));
}

TEST_F(CachedModels, AShortCommitOfSeveralRevisionsIsRefusedWithTheirNames) {
  const std::string third = std::string(39, '1') + "2";
  add(third, "config.json", "config", "12345");
  expect_error(ErrorCode::kInvalidArgument,
               std::string("owner/name@1111111: expected the beginning of one commit, got that of 2: ") +
                   kFirstCommit + ", " + third,
               [&] { remove("owner/name@1111111"); });
  EXPECT_EQ(cached_models(root_).size(), 3u);
}

TEST_F(CachedModels, ARefThatCannotBeReadIsNone) {
  std::ofstream(model_ / "refs/main") << std::string(5000, '2');
  const std::vector<CachedModel> models = cached_models(root_);
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[1].refs, std::vector<std::string>{"pr/1"});
}

TEST_F(CachedModels, TheLastRevisionTakesTheModelWithIt) {
  remove("owner/name@1111111");
  remove("owner/name@main");
  EXPECT_FALSE(fs::exists(model_));
}

TEST_F(CachedModels, WithoutARevisionAllIsRemoved) {
  const ModelRemoval removal = plan_removal("owner/name", root_);
  EXPECT_EQ(removal.n_revisions, 2);
  EXPECT_EQ(removal.n_bytes, 35 + 2 * 40);  // the refs are files of 40 bytes
  EXPECT_EQ(remove_model("owner/name", root_).n_bytes, removal.n_bytes);
  EXPECT_FALSE(fs::exists(model_));
  EXPECT_TRUE(fs::exists(root_));
}

TEST_F(CachedModels, WhatIsLinkedAfterAPlanIsKept) {
  const ModelRemoval planned = plan_removal("owner/name@main", root_);
  ASSERT_EQ(std::ranges::count(planned.paths, model_ / "blobs/second"), 1);
  add(std::string(40, '3'), "model.safetensors", "second", "01234567890123456789");
  remove("owner/name@main");
  EXPECT_TRUE(has_blob("second"));
  EXPECT_FALSE(fs::exists(model_ / "snapshots" / kSecondCommit));
}

TEST_F(CachedModels, NothingIsRemovedWhileADownloadGoesOn) {
  const RepoCache cache(root_, *parse_hub_name("owner/name"));
  for (const char* etag : {"second", "begun"}) {
    fs::create_directories(cache.lock(etag).parent_path());
    const std::optional<FileLock> download = FileLock::try_lock(cache.lock(etag));
    ASSERT_TRUE(download);
    for (const char* name : {"owner/name", "owner/name@main"})
      expect_error(ErrorCode::kIo, std::string("got one of which ") + etag + " is locked",
                   [&] { remove(name); });
    EXPECT_EQ(cached_models(root_).size(), 2u);
    EXPECT_TRUE(has_blob("second"));
  }
  remove("owner/name");
  EXPECT_FALSE(fs::exists(model_));
}

TEST_F(CachedModels, WhatIsNotThereIsNamed) {
  for (const char* name :
       {"owner/other", "owner/name@other", "owner/name@333", "owner/name@3333333", "owner/name@1"})
    expect_error(ErrorCode::kNotFound, std::string(name) + ": expected it in the cache",
                 [&] { remove(name); });
  for (const char* name : {"", "name", "../x", "owner/name@../..", "owner/..", "owner/name:a.gguf"})
    expect_error(ErrorCode::kInvalidArgument, "expected OWNER/NAME", [&] { remove(name); });
  EXPECT_EQ(cached_models(root_).size(), 2u);
}

TEST_F(CachedModels, NothingOutsideIsRemovedThroughLinks) {
  const test::TemporaryFolder outside;
  const fs::path kept = outside.write("kept", "kept");
  const fs::path snapshot = model_ / "snapshots" / kFirstCommit;
  fs::create_symlink(kept, snapshot / "absolute");
  fs::create_symlink(fs::relative(kept, snapshot), snapshot / "relative");
  fs::create_symlink("../../blobs/../../../" + kept.string(), snapshot / "through");
  fs::create_directory_symlink(outside.path(), snapshot / "folder");
  remove("owner/name@1111111");
  EXPECT_EQ(test::read_file(kept), "kept");
  fs::create_directory_symlink(outside.path(), model_ / "snapshots" / kSecondCommit / "folder");
  remove("owner/name");
  EXPECT_EQ(test::read_file(kept), "kept");
}

TEST_F(CachedModels, ALinkInPlaceOfAFolderIsNotFollowed) {
  const test::TemporaryFolder outside;
  fs::rename(model_ / "snapshots", outside.path() / "snapshots");
  fs::create_directory_symlink(outside.path() / "snapshots", model_ / "snapshots");
  for (const char* name : {"owner/name", "owner/name@main"})
    expect_error(ErrorCode::kUnsupported, "got a link", [&] { remove(name); });
  fs::create_directory_symlink(outside.path(), root_ / "models--link--name");
  expect_error(ErrorCode::kUnsupported, "got a link", [&] { remove("link/name"); });
  EXPECT_TRUE(fs::exists(outside.path() / "snapshots" / kFirstCommit));
}

}  // namespace
}  // namespace lille
