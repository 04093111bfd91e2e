#include "base/fault_handler.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lille {
namespace {

// Everything below runs in a signal handler, perhaps amid malloc: system calls and local memory only.

/// A line of /proc/self/maps holds a path of at most 4096 bytes after about 80 of numbers.
constexpr std::size_t kMaxLineBytes = 8192;

// A program's, not the library's: a handler has no argument of its own.
volatile std::sig_atomic_t exit_status_of_fault = kFaultExitStatus;

struct Mapping {
  std::array<char, kMaxLineBytes> line;
  std::size_t n_bytes = 0;
};

/// Takes a hexadecimal number off the front.
uintptr_t take_hex(std::string_view& text) noexcept {
  uintptr_t number = 0;
  while (!text.empty()) {
    const char digit = text.front();
    if (digit >= '0' && digit <= '9')
      number = number * 16 + static_cast<uintptr_t>(digit - '0');
    else if (digit >= 'a' && digit <= 'f')
      number = number * 16 + static_cast<uintptr_t>(digit - 'a' + 10);
    else
      break;
    text.remove_prefix(1);
  }
  return number;
}

/// "begin-end permissions offset device inode   path"
bool line_covers(std::string_view line, uintptr_t address) noexcept {
  const uintptr_t begin = take_hex(line);
  if (!line.starts_with('-')) return false;
  line.remove_prefix(1);
  const uintptr_t end = take_hex(line);
  return address >= begin && address < end;
}

/// Finds the line of /proc/self/maps that covers an address.
bool find_mapping(uintptr_t address, Mapping& mapping) noexcept {
  const int fd = ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  std::array<char, 1024> chunk;
  bool is_found = false;
  while (!is_found) {
    const ssize_t n_read = ::read(fd, chunk.data(), chunk.size());
    if (n_read < 0 && errno == EINTR) continue;
    if (n_read <= 0) break;
    for (std::size_t idx = 0; idx < static_cast<std::size_t>(n_read) && !is_found; ++idx) {
      if (chunk[idx] != '\n') {
        if (mapping.n_bytes < mapping.line.size()) mapping.line[mapping.n_bytes++] = chunk[idx];
      } else if (line_covers({mapping.line.data(), mapping.n_bytes}, address)) {
        is_found = true;
      } else {
        mapping.n_bytes = 0;
      }
    }
  }
  ::close(fd);
  return is_found;
}

void write_stderr(std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t n_written = ::write(STDERR_FILENO, text.data(), text.size());
    if (n_written < 0 && errno == EINTR) continue;
    if (n_written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n_written));
  }
}

extern "C" void on_bus_error(int signal_number, siginfo_t* info, void*) {
  // A positive code comes from the kernel and has an address; kill() sends others.
  Mapping mapping;
  if (info->si_code > 0 && find_mapping(reinterpret_cast<uintptr_t>(info->si_addr), mapping)) {
    std::string_view path(mapping.line.data(), mapping.n_bytes);
    const std::size_t path_begin = path.find('/');
    if (path_begin != std::string_view::npos) {
      for (std::size_t idx = path_begin; idx < mapping.n_bytes; ++idx) {
        const auto code = static_cast<unsigned char>(mapping.line[idx]);
        if (code < 0x20 || code == 0x7f) mapping.line[idx] = '?';
      }
      write_stderr("lille: error: ");
      write_stderr(path.substr(path_begin));
      write_stderr(
          " was truncated or could not be read while it was in use. Hint: do not change a model's files "
          "while "
          "a program runs it; start again when the file is whole\n");
      ::_exit(exit_status_of_fault);
    }
  }
  // The signal is blocked until this handler returns; then it arrives with its default effect.
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  ::sigaction(signal_number, &action, nullptr);
  ::raise(signal_number);
}

}  // namespace

void install_fault_handler(int exit_status) noexcept {
  exit_status_of_fault = exit_status;
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
  ::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace lille
