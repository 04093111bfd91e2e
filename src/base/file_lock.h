#pragma once

#include <filesystem>
#include <optional>
#include <stop_token>

#include "base/descriptor.h"
#include "base/function_ref.h"

namespace lille {

/// Whether others may have the lock too, if they ask for it in the same way.
enum class LockKind { kExclusive, kShared };

/// A lock between processes: flock on a file that stays where it is, held until this object is gone or the
/// process ends. Python's filelock takes the same lock on the same path.
class FileLock {
 public:
  /// Waits for its turn.
  /// @param on_wait  called once if somebody else has the lock.
  /// @throws Error(kCanceled); Error(kNotFound) if there is no such folder, Error(kIo) if the file cannot be
  ///   made or its file system has no locks.
  FileLock(const std::filesystem::path& path, const std::stop_token& cancel, FunctionRef<void()> on_wait,
           LockKind kind = LockKind::kExclusive);

  /// The lock if it can be had at once, else nothing.
  /// @throws Error(kNotFound | kIo)
  static std::optional<FileLock> try_lock(const std::filesystem::path& path,
                                          LockKind kind = LockKind::kExclusive);

 private:
  explicit FileLock(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

  Descriptor descriptor_;
};

}  // namespace lille
