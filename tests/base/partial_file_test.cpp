#include "base/partial_file.h"

#include <gtest/gtest.h>

#include <string>

#include "support.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string content_of(const PartialFile& file) {
  std::string content;
  file.read([&content](std::span<const std::byte> bytes) {
    content.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  return content;
}

TEST(PartialFile, GoesOnWhereAnEarlierOneEnded) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "part";
  PartialFile(path).append(bytes_of("first "));
  PartialFile file(path);
  EXPECT_EQ(file.n_bytes(), 6);
  file.append(bytes_of("second"));
  EXPECT_EQ(file.n_bytes(), 12);
  EXPECT_EQ(content_of(file), "first second");
  file.commit(folder.path() / "whole");
  EXPECT_EQ(test::read_file(folder.path() / "whole"), "first second");
  EXPECT_FALSE(fs::exists(path));
}

TEST(PartialFile, ReadsMoreThanOnePiece) {
  const test::TemporaryFolder folder;
  PartialFile file(folder.path() / "part");
  std::string content(3'000'000, 'x');
  content += "end";
  file.append(bytes_of(content));
  EXPECT_EQ(content_of(file), content);
}

TEST(PartialFile, IsClearedAndRemoved) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.write("part", "something");
  PartialFile file(path);
  file.clear();
  EXPECT_EQ(file.n_bytes(), 0);
  EXPECT_EQ(fs::file_size(path), 0u);
  file.append(bytes_of("x"));
  EXPECT_EQ(test::read_file(path), "x");
  file.remove();
  EXPECT_FALSE(fs::exists(path));
}

TEST(PartialFile, FollowsNoLinkAndTakesOnlyFiles) {
  const test::TemporaryFolder folder;
  folder.write("elsewhere", "kept");
  fs::create_symlink("elsewhere", folder.path() / "link");
  fs::create_directory(folder.path() / "folder");
  test::expect_error(ErrorCode::kIo, "link", [&] { PartialFile(folder.path() / "link"); });
  test::expect_error(ErrorCode::kIo, "folder", [&] { PartialFile(folder.path() / "folder"); });
  test::expect_error(ErrorCode::kNotFound, "missing/part",
                     [&] { PartialFile(folder.path() / "missing/part"); });
  EXPECT_EQ(test::read_file(folder.path() / "elsewhere"), "kept");
}

}  // namespace
}  // namespace lille
