#include "base/line_reader.h"

#include <sys/stat.h>

#include <future>
#include <thread>
#include <vector>

#include "support.h"

namespace lille {
namespace {

std::vector<std::string> lines_of(std::string_view text, std::size_t max_line_bytes = 1 << 20) {
  const test::TemporaryFolder folder;
  LineReader reader(folder.write("lines", text), max_line_bytes);
  std::vector<std::string> lines;
  while (std::optional<LineReader::Line> line = reader.next()) {
    EXPECT_EQ(line->number, static_cast<int64_t>(lines.size()) + 1);
    lines.push_back(line->is_too_long ? "too long" : line->text);
  }
  EXPECT_FALSE(reader.next());
  return lines;
}

using Lines = std::vector<std::string>;

TEST(LineReader, EndsOfLines) {
  EXPECT_EQ(lines_of(""), Lines{});
  EXPECT_EQ(lines_of("\n"), Lines{""});
  EXPECT_EQ(lines_of("a"), Lines{"a"});
  EXPECT_EQ(lines_of("a\n"), Lines{"a"});
  EXPECT_EQ(lines_of("a\nb"), (Lines{"a", "b"}));
  EXPECT_EQ(lines_of("a\r\n\r\nb\r"), (Lines{"a", "", "b"}));
  EXPECT_EQ(lines_of("a\rb\n\n\n"), (Lines{"a\rb", "", ""}));
}

TEST(LineReader, LinesLongerThanItsBuffer) {
  const std::string large(200'001, 'x');
  EXPECT_EQ(lines_of(large + "\n" + large + "y\nz"), (Lines{large, large + "y", "z"}));
  EXPECT_EQ(lines_of(std::string(65536, 'x') + "\ny"), (Lines{std::string(65536, 'x'), "y"}));
}

TEST(LineReader, TheLimitIsInBytesOfTheText) {
  EXPECT_EQ(lines_of("1234\n12345\n1234\r\n12345\r\n123456\n1", 4),
            (Lines{"1234", "too long", "1234", "too long", "too long", "1"}));
  EXPECT_EQ(lines_of(std::string(200'000, 'x') + "\nab", 100), (Lines{"too long", "ab"}));
}

TEST(LineReader, ALineWithoutEndIsTooLongAtOnce) {
  LineReader reader("/dev/zero", 100'000);
  const std::optional<LineReader::Line> line = reader.next();
  ASSERT_TRUE(line);
  EXPECT_TRUE(line->is_too_long);
  EXPECT_LE(line->text.size(), 100'001u) << "no more of it is kept";
}

TEST(LineReader, APipeGivesEachLineWhenItComes) {
  const test::TemporaryFolder folder;
  const std::filesystem::path fifo = folder.path() / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  std::promise<void> has_read;
  std::jthread writer([&] {
    std::ofstream stream(fifo);
    stream << "one\n" << std::flush;
    has_read.get_future().wait();
    stream << "two";
  });
  LineReader reader(fifo, 100);
  EXPECT_EQ(reader.next()->text, "one");
  has_read.set_value();
  EXPECT_EQ(reader.next()->text, "two");
  EXPECT_FALSE(reader.next());
}

TEST(LineReader, WhatCannotBeRead) {
  const test::TemporaryFolder folder;
  test::expect_error(ErrorCode::kNotFound, "no such file", [&] { LineReader(folder.path() / "no", 1); });
  test::expect_error(ErrorCode::kInvalidArgument, "got a folder", [&] { LineReader(folder.path(), 1); });
}

}  // namespace
}  // namespace lille
