#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename());
  return names;
}

TEST(ReadTextFile, GivesTheWholeFile) {
  const test::TemporaryFolder folder;
  const std::string text = std::string(200'000, 'x') + std::string("\0\xff", 2);
  EXPECT_EQ(read_text_file(folder.write("file", text), text.size()), text);
  EXPECT_EQ(read_text_file(folder.write("empty", ""), 0), "");
}

TEST(ReadTextFile, ReadsFilesThatSayTheyAreEmpty) {
  EXPECT_GT(read_text_file("/proc/self/maps", 1 << 24).size(), 0u);
}

TEST(ReadTextFile, RefusesWhatIsTooLarge) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.write("file", "12345");
  test::expect_error(ErrorCode::kCorruptFile, "expected at most 4 bytes", [&] { read_text_file(path, 4); });
  test::expect_error(ErrorCode::kCorruptFile, "expected at most 10 bytes",
                     [] { read_text_file("/proc/self/maps", 10); });
}

TEST(ReadTextFile, NamesAMissingFile) {
  test::expect_error(ErrorCode::kNotFound, "nowhere.json", [] { read_text_file("nowhere.json", 10); });
}

TEST(AtomicFile, AppearsOnCommitOnly) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "result";
  AtomicFile file(path);
  file.write("first ");
  file.write("second");
  EXPECT_FALSE(fs::exists(path));
  file.commit();
  EXPECT_EQ(test::read_file(path), "first second");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"result"});
}

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  const test::TemporaryFolder folder;
  { AtomicFile(folder.path() / "result").write("half"); }
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(AtomicFile, KeepsTheOldContentUntilCommit) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.write("result", "old");
  {
    AtomicFile file(path);
    file.write("new");
    EXPECT_EQ(test::read_file(path), "old");
  }
  EXPECT_EQ(test::read_file(path), "old");
  AtomicFile file(path);
  file.write("new");
  file.commit();
  EXPECT_EQ(test::read_file(path), "new");
}

TEST(AtomicFile, TwoWritersOfOneTargetDoNotMix) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "result";
  constexpr int kRounds = 20;
  const auto write_often = [&path](char letter) {
    for (int round = 0; round < kRounds; ++round) {
      AtomicFile file(path);
      for (int part = 0; part < 10; ++part) file.write(std::string(1000, letter));
      file.commit();
    }
  };
  std::thread first(write_often, 'a');
  std::thread second(write_often, 'b');
  first.join();
  second.join();
  const std::string text = test::read_file(path);
  EXPECT_TRUE(text == std::string(10'000, 'a') || text == std::string(10'000, 'b'));
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"result"});
}

TEST(AtomicFile, FollowsASymbolicLink) {
  const test::TemporaryFolder folder;
  const fs::path target = folder.write("target", "old");
  fs::create_symlink("target", folder.path() / "link");
  AtomicFile file(folder.path() / "link");
  file.write("new");
  file.commit();
  EXPECT_TRUE(fs::is_symlink(folder.path() / "link"));
  EXPECT_EQ(test::read_file(target), "new");
}

TEST(AtomicFile, NeverReplacesADeviceOrAFolder) {
  const test::TemporaryFolder folder;
  test::expect_error(ErrorCode::kInvalidArgument, "got a device", [] { AtomicFile("/dev/null"); });
  test::expect_error(ErrorCode::kInvalidArgument, "got a folder", [&] { AtomicFile(folder.path()); });
  test::expect_error(ErrorCode::kInvalidArgument, "empty path", [] { AtomicFile(""); });
  test::expect_error(ErrorCode::kInvalidArgument, "without a name",
                     [&] { AtomicFile(folder.path() / "new" / ""); });
}

TEST(AtomicFile, NamesAMissingFolder) {
  const test::TemporaryFolder folder;
  test::expect_error(ErrorCode::kNotFound, "no such folder",
                     [&] { AtomicFile(folder.path() / "missing" / "result"); });
  const fs::path file = folder.write("file", "");
  test::expect_error(ErrorCode::kNotFound, "no such folder", [&] { AtomicFile(file / "result"); });
}

/// Runs `action` in a child that may write at most `n_bytes` to a file, as if the disk were full after them.
template <typename Action>
bool holds_with_full_disk(rlim_t n_bytes, Action&& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{n_bytes, n_bytes};
    ::_exit(::setrlimit(RLIMIT_FSIZE, &limit) == 0 && action() ? 0 : 1);
  }
  int status = 1;
  return ::waitpid(child, &status, 0) == child && status == 0;
}

TEST(AtomicFile, AFullDiskLeavesNothingButTheOldFile) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.write("result", "old");
  EXPECT_TRUE(holds_with_full_disk(1000, [&path] {
    try {
      AtomicFile file(path);
      for (int part = 0; part < 10; ++part) file.write(std::string(300, 'x'));
      file.commit();
    } catch (const Error& error) {
      const std::string_view message = error.what();
      return error.code() == ErrorCode::kIo && message.find("result") != message.npos &&
             message.find("Nothing was written. Hint: free some space") != message.npos;
    }
    return false;
  }));
  EXPECT_EQ(test::read_file(path), "old");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"result"});
}

TEST(AtomicFile, AFailedCommitLeavesNothing) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "result";
  auto file = std::make_unique<AtomicFile>(path);
  file->write("text");
  // A folder takes the name while the file is being written.
  fs::create_directories(path / "inside");
  test::expect_error(ErrorCode::kIo, "[rename]", [&] { file->commit(); });
  file.reset();
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"result"});
  EXPECT_TRUE(fs::is_directory(path));
}

}  // namespace
}  // namespace lille
