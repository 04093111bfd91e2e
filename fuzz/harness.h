#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "lille/error.h"

namespace lille::fuzz {

/// A finding, unless the condition holds.
inline void require(bool condition) {
  if (!condition) std::abort();
}

/// A file in memory that has a path.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("fuzz", MFD_CLOEXEC)) { require(fd_ >= 0); }
  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(fd_); }
  void fill(std::string_view content) const {
    require(ftruncate(fd_, 0) == 0);
    require(pwrite(fd_, content.data(), content.size(), 0) == static_cast<ssize_t>(content.size()));
  }

 private:
  int fd_;
};

/// Whatever stands in a message must be one short line of UTF-8.
inline void check_message(const Error& error) {
  const std::string_view message = error.what();
  require(is_valid_utf8(message) && message.find('\n') == message.npos && message.size() < 4000);
}

/// A file is refused because of what is in it, and for no other reason.
inline void check_refusal(const Error& error) {
  require(error.code() == ErrorCode::kCorruptFile || error.code() == ErrorCode::kUnsupported);
  check_message(error);
}

}  // namespace lille::fuzz
