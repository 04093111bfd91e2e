#include "base/line_file.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <limits>

#include "support.h"

namespace lille {
namespace {

class LineFiles : public testing::Test {
 protected:
  test::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "lines";

  std::string content() const { return test::read_file(path_); }
};

TEST_F(LineFiles, ANewOneIsEmptyAndGrows) {
  LineFile file(path_);
  const std::optional<LineFile::End> end = file.find_end(10);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->n_whole_bytes, 0);
  EXPECT_EQ(end->last_line, "");
  EXPECT_EQ(file.read_at(0, 10), "");
  file.append("one");
  file.append("");
  file.append("three");
  file.sync();
  EXPECT_EQ(content(), "one\n\nthree\n");
}

TEST_F(LineFiles, FindsTheLastWholeLine) {
  const std::string large(200'000, 'x');
  const std::tuple<std::string, std::string, std::string> cases[] = {
      {"", "", ""},
      {"\n", "", ""},
      {"a", "", "a"},
      {"a\n", "a", ""},
      {"a\nbc\n", "bc", ""},
      {"a\nbc\nd", "bc", "d"},
      {"a\n\n", "", ""},
      {large + "\n" + large, large, large},
      {large + "\n", large, ""},
      {"a\n" + large + "\n", large, ""},
      {std::string(65535, 'y') + "\n" + large.substr(0, 65535) + "\n", large.substr(0, 65535), ""},
      {large, "", large}};
  for (const auto& [text, last_line, rest] : cases) {
    folder_.write("lines", text);
    const LineFile file(path_);
    const auto longest = static_cast<int64_t>(std::max(last_line.size(), rest.size()));
    for (const int64_t limit : {longest, longest + 1, std::numeric_limits<int64_t>::max() / 2}) {
      const std::optional<LineFile::End> end = file.find_end(limit);
      ASSERT_TRUE(end) << text.size() << " " << limit;
      EXPECT_EQ(end->last_line, last_line) << text.size();
      EXPECT_EQ(end->n_whole_bytes, static_cast<int64_t>(text.size() - rest.size())) << text.size();
      EXPECT_EQ(file.read_at(end->n_whole_bytes, 1), rest.substr(0, 1));
      EXPECT_EQ(file.read_at(end->n_whole_bytes, SIZE_MAX / 4), rest);
    }
    if (longest > 0) {
      EXPECT_FALSE(file.find_end(longest - 1)) << text.size();
    }
  }
}

// What this process has read so far by system calls.
int64_t n_bytes_read() {
  std::ifstream io("/proc/self/io");
  std::string name;
  int64_t n_bytes = -1;
  io >> name >> n_bytes;
  EXPECT_EQ(name, "rchar:");
  return n_bytes;
}

// Without a limit, or with the search begun anew for each piece, a terabyte would take for ever.
TEST_F(LineFiles, AHugeFileThatHasNoLinesIsSeenAtOnce) {
  constexpr int64_t kLimit = 64 << 20;
  folder_.write("lines", "one\n");
  std::filesystem::resize_file(path_, int64_t{1} << 40);
  const int64_t before = n_bytes_read();
  EXPECT_FALSE(LineFile(path_).find_end(kLimit));
  EXPECT_LT(n_bytes_read() - before, 2 * kLimit);
}

TEST_F(LineFiles, GoesOnAfterTheLastWholeLine) {
  folder_.write("lines", "one\ntw");
  LineFile file(path_);
  file.truncate(file.find_end(10)->n_whole_bytes);
  file.append("two");
  EXPECT_EQ(content(), "one\ntwo\n");
}

TEST_F(LineFiles, OnlyOneAtATime) {
  const LineFile file(path_);
  test::expect_error(ErrorCode::kInvalidArgument, "another process is writing it",
                     [&] { LineFile second(path_); });
}

TEST_F(LineFiles, WhatIsNoFile) {
  test::expect_error(ErrorCode::kInvalidArgument, "got a folder", [&] { LineFile file(folder_.path()); });
  test::expect_error(ErrorCode::kNotFound, "no such folder",
                     [&] { LineFile file(folder_.path() / "no" / "x"); });
  test::expect_error(ErrorCode::kInvalidArgument, "got a device", [] { LineFile file("/dev/null"); });
  const std::filesystem::path fifo = folder_.path() / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  test::expect_error(ErrorCode::kInvalidArgument, "got a device, pipe", [&] { LineFile file(fifo); });
}

// A limit on the size of files stands for a full disk.
TEST_F(LineFiles, ALineThatDoesNotFitIsTakenBack) {
  LineFile file(path_);
  file.append("one");
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small = {1000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  test::expect_error(ErrorCode::kIo, "[write] ", [&] { file.append(std::string(5000, 'x')); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(content(), "one\n");
  file.append("two");
  EXPECT_EQ(content(), "one\ntwo\n");
}

}  // namespace
}  // namespace lille
