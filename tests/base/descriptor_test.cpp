#include "base/descriptor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <utility>

#include "support.h"

namespace lille {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

TEST(Descriptor, ClosesWithItsOwner) {
  int fd = -1;
  {
    Descriptor first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    fd = first.get();
    Descriptor second(std::move(first));
    EXPECT_EQ(first.get(), -1);
    EXPECT_EQ(second.get(), fd);
    EXPECT_TRUE(is_open(fd));
  }
  EXPECT_FALSE(is_open(fd));
}

TEST(Descriptor, ReleasedStaysOpen) {
  int fd = -1;
  {
    Descriptor owner(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    fd = owner.release();
  }
  EXPECT_TRUE(is_open(fd));
  Descriptor closes(fd);
}

TEST(OpenRegularFile, TellsTheSize) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(open_regular_file(folder.write("five", "12345")).n_bytes, 5);
}

TEST(OpenRegularFile, NamesWhatIsNoFile) {
  const test::TemporaryFolder folder;
  const std::filesystem::path file = folder.write("file", "x");
  test::expect_error(ErrorCode::kNotFound, "missing: no such file",
                     [&] { open_regular_file(folder.path() / "missing"); });
  test::expect_error(ErrorCode::kNotFound, "file/below: no such file",
                     [&] { open_regular_file(file / "below"); });
  test::expect_error(ErrorCode::kIo, "got a folder", [&] { open_regular_file(folder.path()); });
  test::expect_error(ErrorCode::kIo, "got a device", [] { open_regular_file("/dev/null"); });
}

TEST(OpenRegularFile, DoesNotWaitForAPipe) {
  const test::TemporaryFolder folder;
  const std::filesystem::path pipe = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  test::expect_error(ErrorCode::kIo, "got a device, pipe or socket", [&] { open_regular_file(pipe); });
}

TEST(OpenRegularFile, MessagesAreValidUtf8WhateverThePath) {
  test::expect_error(ErrorCode::kNotFound, "bad\\xff\\x0aname", [] { open_regular_file("bad\xff\nname"); });
}

}  // namespace
}  // namespace lille
