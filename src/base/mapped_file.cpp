#include "base/mapped_file.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/descriptor.h"
#include "base/text.h"

namespace lille {

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const OpenFile file = open_regular_file(path);
  n_bytes_ = static_cast<std::size_t>(file.n_bytes);
  // mmap refuses a length of 0.
  if (n_bytes_ == 0) return;
  void* address = ::mmap(nullptr, n_bytes_, PROT_READ, MAP_SHARED, file.descriptor.get(), 0);
  if (address == MAP_FAILED)
    raise(ErrorCode::kIo, "[mmap] {}: {}", printable_path(path), std::strerror(errno));
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
