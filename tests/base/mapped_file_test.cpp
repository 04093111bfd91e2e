#include "base/mapped_file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <string>
#include <utility>

#include "support.h"

namespace lille {
namespace {

constexpr std::size_t kFileBytes = 8 << 20;

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

TEST(MappedFile, ShowsTheBytes) {
  const test::TemporaryFolder folder;
  const MappedFile file(folder.write("file", "some bytes"));
  EXPECT_EQ(text_of(file), "some bytes");
  EXPECT_EQ(file.path(), folder.path() / "file");
}

TEST(MappedFile, OfAnEmptyFileIsEmpty) {
  const test::TemporaryFolder folder;
  EXPECT_TRUE(MappedFile(folder.write("empty", "")).bytes().empty());
}

TEST(MappedFile, MovesItsMapping) {
  const test::TemporaryFolder folder;
  MappedFile first(folder.write("first", "first"));
  const std::byte* address = first.bytes().data();
  MappedFile second(std::move(first));
  EXPECT_EQ(second.bytes().data(), address);
  EXPECT_TRUE(first.bytes().empty());
  MappedFile third(folder.write("third", "third"));
  third = std::move(second);
  EXPECT_EQ(text_of(third), "first");
}

TEST(MappedFile, OutlivesTheName) {
  const test::TemporaryFolder folder;
  const std::filesystem::path path = folder.write("file", "kept");
  const MappedFile file(path);
  std::filesystem::remove(path);
  EXPECT_EQ(text_of(file), "kept");
}

TEST(MappedFile, NamesAMissingFile) {
  test::expect_error(ErrorCode::kNotFound, "nowhere.bin", [] { MappedFile("nowhere.bin"); });
}

/// A number in kB from the lines of /proc/self/smaps that follow the one of a mapping of `path`.
int64_t smaps_kib(const std::filesystem::path& path, std::string_view label) {
  const std::string smaps = test::read_file("/proc/self/smaps");
  const std::size_t mapping = smaps.find(path.string());
  if (mapping == std::string::npos) return -1;
  std::size_t value = smaps.find(fmt::format("\n{}:", label), mapping);
  value = smaps.find_first_of("0123456789", value);
  int64_t n_kib = -1;
  std::from_chars(smaps.data() + value, smaps.data() + smaps.size(), n_kib);
  return n_kib;
}

void read_all(const MappedFile& file) {
  volatile unsigned sum = 0;
  for (const std::byte byte : file.bytes()) sum = sum + std::to_integer<unsigned>(byte);
}

struct Pages {
  int64_t resident_kib;
  int64_t private_kib;
  int64_t shared_kib;
};

TEST(MappedFile, TwoProcessesShareItsPages) {
  const test::TemporaryFolder folder;
  const std::filesystem::path path = folder.write("weights", std::string(kFileBytes, 'w'));
  const MappedFile file(path);
  read_all(file);
  int pipe_fds[2];
  ASSERT_EQ(::pipe(pipe_fds), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    // A mapping of its own, as a process that knows nothing of the first one would make it.
    const MappedFile own(path);
    read_all(own);
    const Pages pages{smaps_kib(path, "Rss"),
                      smaps_kib(path, "Private_Clean") + smaps_kib(path, "Private_Dirty"),
                      smaps_kib(path, "Shared_Clean") + smaps_kib(path, "Shared_Dirty")};
    const bool is_written = ::write(pipe_fds[1], &pages, sizeof(pages)) == sizeof(pages);
    ::_exit(is_written ? 0 : 1);
  }
  Pages pages{};
  EXPECT_EQ(::read(pipe_fds[0], &pages, sizeof(pages)), static_cast<ssize_t>(sizeof(pages)));
  ::close(pipe_fds[0]);
  ::close(pipe_fds[1]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(pages.resident_kib, static_cast<int64_t>(kFileBytes / 1024));
  EXPECT_EQ(pages.shared_kib, static_cast<int64_t>(kFileBytes / 1024));
  EXPECT_EQ(pages.private_kib, 0);
}

}  // namespace
}  // namespace lille
