#include "base/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "support.h"

namespace lille {
namespace {

// Runs `question` with stdout and stderr on the file `path`, and puts them back.
template <typename Question>
bool ask_with_output_on(const char* path, Question question) {
  const int saved_out = ::dup(STDOUT_FILENO);
  const int saved_err = ::dup(STDERR_FILENO);
  const int file = ::open(path, O_WRONLY | O_NOCTTY);
  ::dup2(file, STDOUT_FILENO);
  ::dup2(file, STDERR_FILENO);
  const bool answer = question();
  ::dup2(saved_out, STDOUT_FILENO);
  ::dup2(saved_err, STDERR_FILENO);
  for (const int descriptor : {file, saved_out, saved_err}) ::close(descriptor);
  return answer;
}

TEST(Terminal, AFileIsNone) {
  EXPECT_FALSE(ask_with_output_on("/dev/null", stdout_is_terminal));
  EXPECT_FALSE(ask_with_output_on("/dev/null", stderr_is_terminal));
}

TEST(Terminal, APseudoTerminalIsOne) {
  const int controller = ::posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(controller, 0);
  ASSERT_EQ(::grantpt(controller), 0);
  ASSERT_EQ(::unlockpt(controller), 0);
  const char* path = ::ptsname(controller);
  ASSERT_NE(path, nullptr);
  EXPECT_TRUE(ask_with_output_on(path, stdout_is_terminal));
  EXPECT_TRUE(ask_with_output_on(path, stderr_is_terminal));
  ::close(controller);
}

TEST(Terminal, TheFileOnStdin) {
  const test::TemporaryFolder folder;
  const std::filesystem::path path = folder.write("input", "x");
  const std::filesystem::path other = folder.write("other", "x");
  std::filesystem::create_hard_link(path, folder.path() / "link");
  const int saved = ::dup(STDIN_FILENO);
  const int file = ::open(path.c_str(), O_RDONLY);
  ::dup2(file, STDIN_FILENO);
  EXPECT_TRUE(stdin_is_file(path));
  EXPECT_TRUE(stdin_is_file(folder.path() / "link"));
  EXPECT_FALSE(stdin_is_file(other));
  EXPECT_FALSE(stdin_is_file(folder.path() / "none"));
  EXPECT_FALSE(stdin_is_file(""));
  ::dup2(saved, STDIN_FILENO);
  for (const int descriptor : {file, saved}) ::close(descriptor);
}

TEST(Terminal, ProgramPathIsTheTestItself) { EXPECT_EQ(program_path().filename(), "base_test"); }

}  // namespace
}  // namespace lille
