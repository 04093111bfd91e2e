#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace lille {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  // Without O_NONBLOCK, opening a FIFO that nobody writes to would wait for ever.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) {
    const int reason = errno;
    raise(reason == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo, "[open] {}: {}", path.string(),
          std::strerror(reason));
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) raise(ErrorCode::kIo, "[stat] {}: {}", path.string(), std::strerror(errno));
  if (!S_ISREG(status.st_mode)) raise(ErrorCode::kIo, "[open] {}: expected a regular file", path.string());
  n_bytes_ = static_cast<std::size_t>(status.st_size);
  if (n_bytes_ == 0) return;
  void* address = ::mmap(nullptr, n_bytes_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (address == MAP_FAILED) raise(ErrorCode::kIo, "[mmap] {}: {}", path.string(), std::strerror(errno));
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), n_bytes_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      n_bytes_(std::exchange(other.n_bytes_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(n_bytes_, other.n_bytes_);
  return *this;
}

}  // namespace lille
