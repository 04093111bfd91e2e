#include "base/terminal.h"

#include <unistd.h>

#include <system_error>

namespace lille {

bool stdin_is_terminal() noexcept { return ::isatty(STDIN_FILENO) == 1; }

bool stdout_is_terminal() noexcept { return ::isatty(STDOUT_FILENO) == 1; }

bool stderr_is_terminal() noexcept { return ::isatty(STDERR_FILENO) == 1; }

std::filesystem::path program_path() {
  std::error_code failed;
  return std::filesystem::read_symlink("/proc/self/exe", failed);
}

}  // namespace lille
