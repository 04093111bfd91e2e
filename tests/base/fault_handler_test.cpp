#include "base/fault_handler.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "base/mapped_file.h"
#include "support.h"

namespace lille {
namespace {

struct Outcome {
  int status = 0;
  std::string stderr_text;
};

/// Runs `action` in a child and returns how it ended and what it wrote to stderr.
template <typename Action>
Outcome run_in_child(Action&& action) {
  int pipe_fds[2];
  if (::pipe(pipe_fds) != 0) return {};
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(pipe_fds[1], STDERR_FILENO);
    // A sanitizer's own handlers would hide the default effect.
    ::signal(SIGBUS, SIG_DFL);
    action();
    ::_exit(0);
  }
  ::close(pipe_fds[1]);
  Outcome outcome;
  char chunk[512];
  for (ssize_t n_read = 0; (n_read = ::read(pipe_fds[0], chunk, sizeof(chunk))) > 0;)
    outcome.stderr_text.append(chunk, static_cast<std::size_t>(n_read));
  ::close(pipe_fds[0]);
  ::waitpid(child, &outcome.status, 0);
  return outcome;
}

void touch_after_truncation(const std::filesystem::path& path) {
  const MappedFile file(path);
  std::filesystem::resize_file(path, 0);
  volatile std::byte seen = file.bytes().front();
  (void)seen;
}

TEST(FaultHandler, NamesATruncatedFileAndEndsTheProgram) {
  const test::TemporaryFolder folder;
  const std::filesystem::path path = folder.write("model \xce\xa9.safetensors", std::string(10'000, 'x'));
  const Outcome outcome = run_in_child([&path] {
    install_fault_handler();
    touch_after_truncation(path);
  });
  ASSERT_TRUE(WIFEXITED(outcome.status)) << outcome.status;
  EXPECT_EQ(WEXITSTATUS(outcome.status), kFaultExitStatus);
  EXPECT_TRUE(outcome.stderr_text.starts_with("lille: error: " + path.string() + " was truncated"))
      << outcome.stderr_text;
  EXPECT_EQ(outcome.stderr_text.find('\n'), outcome.stderr_text.size() - 1) << "one line";
}

TEST(FaultHandler, EndsWithTheStatusAskedForLast) {
  const test::TemporaryFolder folder;
  const std::filesystem::path path = folder.write("file", std::string(10'000, 'x'));
  const Outcome outcome = run_in_child([&path] {
    install_fault_handler();
    install_fault_handler(2);
    touch_after_truncation(path);
  });
  ASSERT_TRUE(WIFEXITED(outcome.status)) << outcome.status;
  EXPECT_EQ(WEXITSTATUS(outcome.status), 2);
}

TEST(FaultHandler, IsNotThereUnlessAskedFor) {
  const test::TemporaryFolder folder;
  const std::filesystem::path path = folder.write("file", std::string(10'000, 'x'));
  const Outcome outcome = run_in_child([&path] { touch_after_truncation(path); });
  ASSERT_TRUE(WIFSIGNALED(outcome.status));
  EXPECT_EQ(WTERMSIG(outcome.status), SIGBUS);
}

TEST(FaultHandler, LeavesASentSignalItsDefaultEffect) {
  const Outcome outcome = run_in_child([] {
    install_fault_handler();
    ::raise(SIGBUS);
  });
  ASSERT_TRUE(WIFSIGNALED(outcome.status));
  EXPECT_EQ(WTERMSIG(outcome.status), SIGBUS);
  EXPECT_EQ(outcome.stderr_text, "");
}

}  // namespace
}  // namespace lille
