#include "base/partial_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/text.h"

namespace lille {
namespace {

constexpr std::size_t kPartialFileReadBytes = 1 << 20;

}  // namespace

// O_NOFOLLOW: the name is known before the file is, and a link there would lead the bytes elsewhere.
PartialFile::PartialFile(const std::filesystem::path& path)
    : path_(path),
      descriptor_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666)) {
  if (descriptor_.get() < 0) fail("open", errno);
  struct stat status {};
  if (::fstat(descriptor_.get(), &status) != 0) fail("open", errno);
  if (!S_ISREG(status.st_mode))
    raise(ErrorCode::kIo, "[open] {}: expected a regular file, got something else. Hint: remove it",
          printable_path(path));
  n_bytes_ = status.st_size;
}

void PartialFile::fail(const char* action, int reason) const {
  const bool is_full = reason == ENOSPC || reason == EDQUOT || reason == EFBIG;
  const bool is_missing = reason == ENOENT || reason == ENOTDIR;
  raise(is_missing ? ErrorCode::kNotFound : ErrorCode::kIo, "[{}] {}: {}. Hint: {}", action,
        printable_path(path_), std::strerror(reason),
        is_full ? "free some space; what is there already is kept" : "may this user write there?");
}

void PartialFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n_written = ::pwrite(descriptor_.get(), bytes.data(), bytes.size(), n_bytes_);
    if (n_written < 0 && errno == EINTR) continue;
    if (n_written < 0) fail("write", errno);
    n_bytes_ += n_written;
    bytes = bytes.subspan(static_cast<std::size_t>(n_written));
  }
}

void PartialFile::clear() {
  if (::ftruncate(descriptor_.get(), 0) != 0) fail("write", errno);
  n_bytes_ = 0;
}

void PartialFile::read(FunctionRef<void(std::span<const std::byte>)> visit) const {
  std::vector<std::byte> buffer(kPartialFileReadBytes);
  for (int64_t offset = 0; offset < n_bytes_;) {
    const ssize_t n_read = ::pread(descriptor_.get(), buffer.data(), buffer.size(), offset);
    if (n_read < 0 && errno == EINTR) continue;
    if (n_read < 0) fail("read", errno);
    if (n_read == 0)
      raise(ErrorCode::kIo, "[read] {}: expected {} bytes, got {}. Hint: does another program write it?",
            printable_path(path_), n_bytes_, offset);
    visit(std::span(buffer).first(static_cast<std::size_t>(n_read)));
    offset += n_read;
  }
}

void PartialFile::commit(const std::filesystem::path& target) {
  if (::fsync(descriptor_.get()) != 0) fail("write", errno);
  if (::rename(path_.c_str(), target.c_str()) != 0) fail("rename", errno);
}

void PartialFile::remove() noexcept { ::unlink(path_.c_str()); }

}  // namespace lille
