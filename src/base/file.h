#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace lille {

/// The whole of a small text file (config, vocabulary), copied: a later change of the file cannot fault.
/// @throws Error(kNotFound | kIo); Error(kCorruptFile) if it is larger than max_bytes.
std::string read_text_file(const std::filesystem::path& path, std::size_t max_bytes);

/// Writes a file so that it is there whole or not at all: bytes go to a temporary beside the target, commit()
/// renames it; without commit() the destructor removes it. A target that exists keeps its content until then;
/// one that is a symbolic link stays a link, to a new content.
class AtomicFile {
 public:
  /// @throws Error(kNotFound) if the folder does not exist, Error(kInvalidArgument) if the path names a
  ///   folder, a device or a pipe, Error(kIo) if nothing can be created there.
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// @throws Error(kIo), for example when the disk is full.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);

  /// Flushes to the disk and gives the file its name.
  /// @throws Error(kIo)
  void commit();

 private:
  [[noreturn]] void fail(const char* action);

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int fd_ = -1;
};

}  // namespace lille
