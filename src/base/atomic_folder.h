#pragma once

#include <filesystem>
#include <span>
#include <string_view>

namespace lille {

/// What to do with a folder that is there already.
enum class IfExists { kRefuse, kReplace };

/// Writes a folder so that it is there whole or not at all: files go into a temporary folder beside the
/// target, commit() renames it; without commit() the destructor removes it with all that is in it.
class AtomicFolder {
 public:
  /// @param if_exists  what commit() does with a folder that is there by then.
  /// @throws Error(kInvalidArgument) if the target exists and may not be replaced, Error(kNotFound) if the
  ///   folder around it does not exist, Error(kIo) if nothing can be created there.
  AtomicFolder(const std::filesystem::path& target, IfExists if_exists);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  /// Where the files are to be written before commit().
  const std::filesystem::path& path() const noexcept { return temporary_; }

  /// Checks, before much work is done, what commit() will check when the files `to_come` are written too.
  /// @throws Error(kInvalidArgument) as commit().
  void check(std::span<const std::string_view> to_come = {}) const;

  /// Gives the folder its name. A folder that is there is replaced if all it holds are files that the new one
  /// has too, so that a mistyped name costs nobody's files.
  /// @throws Error(kInvalidArgument) that names what would be lost; Error(kIo); the target then is as it was.
  void commit();

 private:
  std::filesystem::path target_;
  std::filesystem::path temporary_;
};

}  // namespace lille
