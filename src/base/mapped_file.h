#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace lille {

/// A whole file mapped read-only and shared: processes that map one file share its pages.
class MappedFile {
 public:
  /// @throws Error(kNotFound) if there is no such file, Error(kIo) if it is not a regular file or cannot be
  ///   read.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  /// The file's bytes; empty for an empty file. Reading past a later truncation raises SIGBUS in the process
  /// (see base/fault_handler.h).
  std::span<const std::byte> bytes() const noexcept { return {data_, n_bytes_}; }
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t n_bytes_ = 0;
};

}  // namespace lille
