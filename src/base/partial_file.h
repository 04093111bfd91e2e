#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "base/descriptor.h"
#include "base/function_ref.h"

namespace lille {

/// A file that may take several runs to write: what was written stays where it is, without its name, until
/// commit(). One process at a time writes one (see FileLock).
class PartialFile {
 public:
  /// Opens what an earlier run left, or makes an empty file.
  /// @throws Error(kNotFound) if there is no such folder; Error(kIo) if it cannot be written or is no regular
  ///   file.
  explicit PartialFile(const std::filesystem::path& path);

  /// Bytes written so far, by this run and earlier ones.
  int64_t n_bytes() const noexcept { return n_bytes_; }

  /// Writes at the end. @throws Error(kIo), for example when the disk is full.
  void append(std::span<const std::byte> bytes);

  /// Forgets what is written. @throws Error(kIo)
  void clear();

  /// Calls visit(bytes) for the whole content, piece by piece. @throws Error(kIo)
  void read(FunctionRef<void(std::span<const std::byte>)> visit) const;

  /// Flushes to the disk and gives the file its name, in place of what has that name. @throws Error(kIo)
  void commit(const std::filesystem::path& target);

  /// Removes the file with what is written; the object is of no use afterwards.
  void remove() noexcept;

 private:
  [[noreturn]] void fail(const char* action, int reason) const;

  std::filesystem::path path_;
  Descriptor descriptor_;
  int64_t n_bytes_ = 0;
};

}  // namespace lille
