#include "eval/verify_files.h"

#include "support.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

// Published: FIPS 180-2 appendix B.1; SHA-1 of git's blob "abc" is what `git hash-object` prints.
constexpr const char* kSha256OfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kGitBlobOfAbc = "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f";

TEST(ReportFiles, HashesWhatIsUsedAndListsTheRest) {
  const test::TemporaryFolder folder;
  folder.write("config.json", "abc");
  folder.write("notes.txt", "abc");
  const FilesReport report = report_files(folder.path(), {});
  ASSERT_EQ(report.files.size(), 2u);
  EXPECT_EQ(report.files[0].name, "config.json");
  EXPECT_EQ(report.files[0].n_bytes, 3);
  EXPECT_EQ(report.files[0].sha256, kSha256OfAbc);
  EXPECT_EQ(report.files[0].xxh3.size(), 32u);
  EXPECT_FALSE(report.files[1].is_used);
  EXPECT_EQ(report.files[1].sha256, "");
  EXPECT_EQ(report.missing,
            (std::vector<std::string>{"model.safetensors",
                                      "vocab.json and merges.txt, tokenizer.json or Hastings.pkl"}));
  EXPECT_EQ(report.n_compared, 0);
}

TEST(ReportFiles, ADownloadIsComparedWithWhatTheHubAnnounced) {
  const test::TemporaryFolder folder;
  fs::create_directories(folder.path() / "blobs");
  const fs::path snapshot = folder.path() / "snapshots" / "main";
  fs::create_directories(snapshot);
  const std::pair<const char*, const char*> links[] = {{"config.json", kGitBlobOfAbc},
                                                       {"model.safetensors", kSha256OfAbc}};
  for (const auto& [name, hash] : links) {
    folder.write(std::string("blobs/") + hash, "abc");
    fs::create_symlink(fs::path("../../blobs") / hash, snapshot / name);
  }
  const FilesReport good = report_files(snapshot, {});
  EXPECT_EQ(good.n_compared, 2);
  EXPECT_TRUE(good.damaged.empty());
  for (const auto& [name, hash] : links) {
    folder.write(std::string("blobs/") + hash, "abd");
    const FilesReport bad = report_files(snapshot, {});
    ASSERT_EQ(bad.damaged.size(), 1u);
    EXPECT_TRUE(bad.damaged[0].starts_with(std::string(name) + ": the hub announced " + hash))
        << bad.damaged[0];
    folder.write(std::string("blobs/") + hash, "abc");
  }
}

}  // namespace
}  // namespace lille
