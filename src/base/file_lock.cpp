#include "base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/text.h"
#include "base/wait.h"

namespace lille {
namespace {

constexpr double kPollSeconds = 0.1;

[[noreturn]] void fail(const std::filesystem::path& path, int reason) {
  const bool is_missing = reason == ENOENT || reason == ENOTDIR;
  raise(
      is_missing ? ErrorCode::kNotFound : ErrorCode::kIo,
      "[lock] {}: expected a file that can be locked, got: {}. Hint: may this user write there, and does the "
      "file system have locks?",
      printable_path(path), std::strerror(reason));
}

/// Whoever had the lock before may have removed the file: a lock on what has no name any more keeps nobody
/// out.
bool is_file_of(int fd, const std::filesystem::path& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

}  // namespace

std::optional<FileLock> FileLock::try_lock(const std::filesystem::path& path, LockKind kind) {
  const int operation = kind == LockKind::kShared ? LOCK_SH : LOCK_EX;
  while (true) {
    Descriptor descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0664));
    if (descriptor.get() < 0) fail(path, errno);
    if (::flock(descriptor.get(), operation | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) return std::nullopt;
      fail(path, errno);
    }
    if (is_file_of(descriptor.get(), path)) return FileLock(std::move(descriptor));
  }
}

FileLock::FileLock(const std::filesystem::path& path, const std::stop_token& cancel,
                   FunctionRef<void()> on_wait, LockKind kind)
    : descriptor_(-1) {
  for (bool is_told = false;;) {
    if (std::optional<FileLock> lock = try_lock(path, kind)) {
      descriptor_ = std::move(lock->descriptor_);
      return;
    }
    if (!is_told) on_wait();
    is_told = true;
    wait_seconds(kPollSeconds, cancel);
  }
}

}  // namespace lille
