#pragma once

#include <cstdint>
#include <filesystem>

namespace lille {

/// An open file descriptor of the operating system, closed with its owner.
class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;

  int get() const noexcept { return fd_; }
  /// Gives the descriptor up without closing it.
  int release() noexcept;

 private:
  int fd_;
};

/// A regular file opened for reading, and what the system knows of it.
struct OpenFile {
  Descriptor descriptor;
  int64_t n_bytes;
};

/// @throws Error(kNotFound) if there is no such file, Error(kIo) if it is not a regular file or may not be
///   read.
OpenFile open_regular_file(const std::filesystem::path& path);

}  // namespace lille
