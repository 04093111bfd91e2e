#include "base/file_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <future>
#include <string>
#include <thread>

#include "support.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

TEST(FileLock, IsHeldByOneAtATime) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "a.lock";
  {
    const std::optional<FileLock> lock = FileLock::try_lock(path);
    ASSERT_TRUE(lock);
    EXPECT_FALSE(FileLock::try_lock(path));
  }
  EXPECT_TRUE(FileLock::try_lock(path));
}

TEST(FileLock, IsSharedByThoseWhoAskForThat) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "a.lock";
  std::optional<FileLock> first = FileLock::try_lock(path, LockKind::kShared);
  ASSERT_TRUE(first);
  std::optional<FileLock> second(FileLock(
      path, {}, [] { FAIL() << "nobody is in the way"; }, LockKind::kShared));
  EXPECT_FALSE(FileLock::try_lock(path));
  first.reset();
  EXPECT_FALSE(FileLock::try_lock(path));
  second.reset();
  const std::optional<FileLock> alone = FileLock::try_lock(path);
  ASSERT_TRUE(alone);
  EXPECT_FALSE(FileLock::try_lock(path, LockKind::kShared));
}

TEST(FileLock, IsTheFlockOfOtherPrograms) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "a.lock";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0644);
  ASSERT_EQ(flock(fd, LOCK_EX | LOCK_NB), 0);
  EXPECT_FALSE(FileLock::try_lock(path));
  ASSERT_EQ(flock(fd, LOCK_UN), 0);
  const std::optional<FileLock> lock = FileLock::try_lock(path);
  EXPECT_NE(flock(fd, LOCK_EX | LOCK_NB), 0);
  close(fd);
}

TEST(FileLock, WaitsAndSaysSoOnce) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "a.lock";
  std::optional<FileLock> first = FileLock::try_lock(path);
  int n_told = 0;
  std::promise<void> told;
  // Some of the waiter's looks at the lock fail after the first, unless this thread is held up, which does no
  // harm.
  std::jthread releaser([&] {
    told.get_future().wait();
    std::this_thread::sleep_for(std::chrono::milliseconds(350));
    first.reset();
  });
  const FileLock second(path, {}, [&] {
    if (++n_told == 1) told.set_value();
  });
  EXPECT_EQ(n_told, 1);
  EXPECT_FALSE(FileLock::try_lock(path));
}

TEST(FileLock, EndsWaitingWhenCanceled) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "a.lock";
  const std::optional<FileLock> first = FileLock::try_lock(path);
  std::stop_source source;
  test::expect_error(ErrorCode::kCanceled, "canceled", [&] {
    const FileLock second(path, source.get_token(), [&source] { source.request_stop(); });
  });
}

TEST(FileLock, IsTakenAnewWhenItsFileWasRemovedMeanwhile) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "a.lock";
  std::optional<FileLock> first = FileLock::try_lock(path);
  std::optional<FileLock> third;
  const FileLock second(path, {}, [&] {
    fs::remove(path);
    third = FileLock::try_lock(path);  // of the file that has the name from here on
    first.reset();
    EXPECT_TRUE(third);
    third.reset();
  });
  EXPECT_FALSE(FileLock::try_lock(path));
}

TEST(FileLock, NamesAMissingFolder) {
  test::expect_error(ErrorCode::kNotFound, "nowhere/a.lock", [] { FileLock::try_lock("nowhere/a.lock"); });
}

}  // namespace
}  // namespace lille
