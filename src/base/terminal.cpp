#include "base/terminal.h"

#include <sys/stat.h>
#include <unistd.h>

#include <system_error>

namespace lille {

bool stdin_is_terminal() noexcept { return ::isatty(STDIN_FILENO) == 1; }

bool stdin_is_file(const std::filesystem::path& path) noexcept {
  struct stat file {};
  struct stat input {};
  return ::stat(path.c_str(), &file) == 0 && ::fstat(STDIN_FILENO, &input) == 0 &&
         file.st_dev == input.st_dev && file.st_ino == input.st_ino;
}

bool stdout_is_terminal() noexcept { return ::isatty(STDOUT_FILENO) == 1; }

bool stderr_is_terminal() noexcept { return ::isatty(STDERR_FILENO) == 1; }

std::filesystem::path program_path() {
  std::error_code failed;
  return std::filesystem::read_symlink("/proc/self/exe", failed);
}

}  // namespace lille
