#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/descriptor.h"
#include "base/text.h"

namespace lille {
namespace {

constexpr std::size_t kReadBytes = 1 << 16;

[[noreturn]] void fail_too_large(const std::filesystem::path& path, std::size_t max_bytes) {
  raise(ErrorCode::kCorruptFile,
        "[read] {}: expected at most {} bytes, got more. Hint: is this the right file?", printable_path(path),
        max_bytes);
}

/// Where the bytes of a file called `path` go: through a symbolic link. Renaming over a device would replace
/// it.
std::filesystem::path resolve_target(const std::filesystem::path& path) {
  std::error_code failed;
  const std::filesystem::file_status status = std::filesystem::status(path, failed);
  const bool is_fit = !std::filesystem::exists(status) || std::filesystem::is_regular_file(status);
  if (!is_fit || !path.has_filename())
    raise(ErrorCode::kInvalidArgument, "[write] {}: expected the name of a file, got {}. Hint: name a file",
          printable_path(path),
          path.empty()                            ? "an empty path"
          : std::filesystem::is_directory(status) ? "a folder"
          : !std::filesystem::exists(status)      ? "a path without a name at its end"
                                                  : "a device, pipe or socket");
  if (!std::filesystem::is_symlink(std::filesystem::symlink_status(path, failed))) return path;
  const std::filesystem::path target = std::filesystem::canonical(path, failed);
  return failed ? path : target;
}

}  // namespace

std::string read_text_file(const std::filesystem::path& path, std::size_t max_bytes) {
  const OpenFile file = open_regular_file(path);
  if (static_cast<std::size_t>(file.n_bytes) > max_bytes) fail_too_large(path, max_bytes);
  std::string text;
  // The size is a hint only: files of /proc say 0, and another process may be writing.
  for (std::size_t n_wanted = static_cast<std::size_t>(file.n_bytes) + 1;; n_wanted = kReadBytes) {
    const std::size_t n_before = text.size();
    text.resize(n_before + n_wanted);
    const ssize_t n_read = ::read(file.descriptor.get(), text.data() + n_before, n_wanted);
    const int reason = errno;
    text.resize(n_before + static_cast<std::size_t>(std::max<ssize_t>(n_read, 0)));
    if (n_read < 0 && reason == EINTR) continue;
    if (n_read < 0) raise(ErrorCode::kIo, "[read] {}: {}", printable_path(path), std::strerror(reason));
    if (text.size() > max_bytes) fail_too_large(path, max_bytes);
    if (n_read == 0) return text;
  }
}

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(resolve_target(path)) {
  // Two writers of one target must not share a temporary, in one process or in two.
  for (int attempt = 0; fd_ < 0; ++attempt) {
    temporary_ = fmt::format("{}.tmp-{}-{}", path_.string(), ::getpid(), attempt);
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ >= 0 || errno == EEXIST) continue;
    const int reason = errno;
    if (reason == ENOENT || reason == ENOTDIR)
      raise(ErrorCode::kNotFound, "[write] {}: no such folder. Hint: make the folder first",
            printable_path(path_));
    raise(ErrorCode::kIo, "[write] {}: {}. Hint: may this user write there?", printable_path(path_),
          std::strerror(reason));
  }
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::fail(const char* action) {
  const int reason = errno;
  const bool is_full = reason == ENOSPC || reason == EDQUOT || reason == EFBIG;
  raise(ErrorCode::kIo, "[{}] {}: {}. Nothing was written. Hint: {}", action, printable_path(path_),
        std::strerror(reason), is_full ? "free some space or name another folder" : "name another folder");
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n_written = ::write(fd_, bytes.data(), bytes.size());
    if (n_written < 0 && errno == EINTR) continue;
    if (n_written < 0) fail("write");
    bytes = bytes.subspan(static_cast<std::size_t>(n_written));
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

void AtomicFile::commit() {
  if (::fsync(fd_) != 0) fail("write");
  if (::close(std::exchange(fd_, -1)) != 0) fail("write");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("rename");
  temporary_.clear();
}

}  // namespace lille
