#include "base/descriptor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/text.h"

namespace lille {

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

int Descriptor::release() noexcept { return std::exchange(fd_, -1); }

OpenFile open_regular_file(const std::filesystem::path& path) {
  // Without O_NONBLOCK, opening a FIFO that nobody writes to would wait for ever.
  Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (descriptor.get() < 0) {
    const int reason = errno;
    if (reason == ENOENT || reason == ENOTDIR)
      raise(ErrorCode::kNotFound, "[open] {}: no such file. Hint: check the path", printable_path(path));
    raise(ErrorCode::kIo, "[open] {}: {}. Hint: may this user read it?", printable_path(path),
          std::strerror(reason));
  }
  struct stat status {};
  if (::fstat(descriptor.get(), &status) != 0)
    raise(ErrorCode::kIo, "[open] {}: {}", printable_path(path), std::strerror(errno));
  if (!S_ISREG(status.st_mode))
    raise(ErrorCode::kIo, "[open] {}: expected a regular file, got {}. Hint: name a file",
          printable_path(path), S_ISDIR(status.st_mode) ? "a folder" : "a device, pipe or socket");
  return OpenFile{.descriptor = std::move(descriptor), .n_bytes = status.st_size};
}

}  // namespace lille
