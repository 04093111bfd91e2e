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

constexpr int64_t kLineFileReadBytes = 1 << 16;

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
}

void LineFile::fail(const char* action) const {
  const int reason = errno;
  const bool is_full = reason == ENOSPC || reason == EDQUOT || reason == EFBIG;
  raise(ErrorCode::kIo, "[{}] {}: {}{}", action, printable_path(path_), std::strerror(reason),
        is_full ? ". Hint: free some space and go on" : "");
}

std::string LineFile::read_at(int64_t offset, int64_t max_bytes) const {
  std::string bytes(static_cast<std::size_t>(std::clamp<int64_t>(n_bytes_ - offset, 0, max_bytes)), '\0');
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

// The offset of the last newline among the max_bytes before `end`; -1 where the file begins before one is
// found, nothing where it goes on.
std::optional<int64_t> LineFile::find_newline(int64_t end, int64_t max_bytes) const {
  const int64_t last = end - std::min(end, max_bytes);
  for (int64_t begin = end; begin > last;) {
    const int64_t n_read = std::min(begin - last, kLineFileReadBytes);
    begin -= n_read;
    const std::size_t newline = read_at(begin, n_read).rfind('\n');
    if (newline != std::string::npos) return begin + static_cast<int64_t>(newline);
  }
  if (last > 0) return std::nullopt;
  return -1;
}

std::optional<LineFile::End> LineFile::find_end(int64_t max_line_bytes) const {
  // One byte more than a line may have is its newline.
  const std::optional<int64_t> last = find_newline(n_bytes_, max_line_bytes + 1);
  if (!last) return std::nullopt;
  if (*last < 0) return n_bytes_ > max_line_bytes ? std::nullopt : std::optional<End>(End());
  const std::optional<int64_t> before = find_newline(*last, max_line_bytes + 1);
  if (!before) return std::nullopt;
  const int64_t n_line_bytes = *last - *before - 1;
  if (n_line_bytes > max_line_bytes) return std::nullopt;
  return End{*last + 1, read_at(*before + 1, n_line_bytes)};
}

void LineFile::truncate(int64_t n_bytes) {
  if (::ftruncate(descriptor_.get(), n_bytes) != 0) fail("truncate");
  n_bytes_ = n_bytes;
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
}

void LineFile::sync() {
  if (::fsync(descriptor_.get()) != 0) fail("write");
}

}  // namespace lille
