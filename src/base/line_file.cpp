#include "base/line_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/text.h"

namespace lille {
namespace {

constexpr int64_t kReadBytes = 1 << 16;

// Without O_NONBLOCK, opening a FIFO that nobody reads would wait for ever.
int open_for_appending(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666);
  if (fd >= 0) return fd;
  const int reason = errno;
  if (reason == EISDIR)
    raise(ErrorCode::kInvalidArgument,
          "[write] {}: expected the name of a file, got a folder. Hint: name a "
          "file in it",
          printable_path(path));
  if (reason == ENOENT || reason == ENOTDIR)
    raise(ErrorCode::kNotFound, "[write] {}: no such folder. Hint: make the folder first",
          printable_path(path));
  raise(ErrorCode::kIo, "[write] {}: {}. Hint: may this user write there?", printable_path(path),
        std::strerror(reason));
}

}  // namespace

LineFile::LineFile(const std::filesystem::path& path) : path_(path), descriptor_(open_for_appending(path)) {
  struct stat status {};
  if (::fstat(descriptor_.get(), &status) != 0) fail("open");
  if (!S_ISREG(status.st_mode))
    raise(ErrorCode::kInvalidArgument,
          "[write] {}: expected the name of a file, got a device, pipe or socket. Hint: name a file",
          printable_path(path_));
  if (::flock(descriptor_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) fail("lock");
    raise(ErrorCode::kInvalidArgument,
          "[write] {}: another process is writing it. Hint: wait for it, or name another file",
          printable_path(path_));
  }
  // The size before the lock may be from the middle of another process's line.
  if (::fstat(descriptor_.get(), &status) != 0) fail("open");
  n_bytes_ = status.st_size;
  find_last_line();
}

void LineFile::fail(const char* action) const {
  const int reason = errno;
  const bool is_full = reason == ENOSPC || reason == EDQUOT || reason == EFBIG;
  raise(ErrorCode::kIo, "[{}] {}: {}{}", action, printable_path(path_), std::strerror(reason),
        is_full ? ". Hint: free some space and go on" : "");
}

std::string LineFile::read_at(int64_t offset, int64_t n_bytes) const {
  std::string bytes(static_cast<std::size_t>(n_bytes), '\0');
  std::size_t n_done = 0;
  while (n_done < bytes.size()) {
    const ssize_t n_read = ::pread(descriptor_.get(), bytes.data() + n_done, bytes.size() - n_done,
                                   offset + static_cast<int64_t>(n_done));
    if (n_read < 0 && errno == EINTR) continue;
    if (n_read < 0) fail("read");
    if (n_read == 0) break;
    n_done += static_cast<std::size_t>(n_read);
  }
  bytes.resize(n_done);
  return bytes;
}

// From the end backwards, since the file may be large.
void LineFile::find_last_line() {
  std::string tail;
  int64_t begin = n_bytes_;
  std::size_t last_end = std::string::npos;
  while (begin > 0) {
    const int64_t n_read = std::min(begin, kReadBytes);
    begin -= n_read;
    tail.insert(0, read_at(begin, n_read));
    last_end = tail.rfind('\n');
    if (last_end == std::string::npos) continue;
    const std::size_t before = last_end == 0 ? std::string::npos : tail.rfind('\n', last_end - 1);
    if (before == std::string::npos && begin > 0) continue;
    n_whole_bytes_ = begin + static_cast<int64_t>(last_end) + 1;
    const std::size_t first = before == std::string::npos ? 0 : before + 1;
    last_line_ = tail.substr(first, last_end - first);
    return;
  }
}

std::string LineFile::rest(std::size_t max_bytes) const {
  return read_at(n_whole_bytes_, std::min(n_bytes_ - n_whole_bytes_, static_cast<int64_t>(max_bytes)));
}

void LineFile::truncate(int64_t n_bytes) {
  if (::ftruncate(descriptor_.get(), n_bytes) != 0) fail("truncate");
  n_bytes_ = n_whole_bytes_ = n_bytes;
}

void LineFile::append(std::string_view line) {
  std::string bytes(line);
  bytes += '\n';
  std::string_view left = bytes;
  while (!left.empty()) {
    const ssize_t n_written = ::write(descriptor_.get(), left.data(), left.size());
    if (n_written < 0 && errno == EINTR) continue;
    if (n_written < 0) {
      const int reason = errno;
      // If this fails too, the next run finds a line that was cut.
      [[maybe_unused]] const int ignored = ::ftruncate(descriptor_.get(), n_bytes_);
      errno = reason;
      fail("write");
    }
    left.remove_prefix(static_cast<std::size_t>(n_written));
  }
  n_bytes_ += static_cast<int64_t>(bytes.size());
  n_whole_bytes_ = n_bytes_;
}

void LineFile::sync() {
  if (::fsync(descriptor_.get()) != 0) fail("write");
}

}  // namespace lille
