#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/descriptor.h"

namespace lille {

/// A file of lines that grows at its end and is there for long: unlike AtomicFile, what was written stays
/// when the process is killed. While it is open no other LineFile can be, in any process.
class LineFile {
 public:
  /// Opens the file, or makes an empty one.
  /// @throws Error(kNotFound) if the folder does not exist, Error(kInvalidArgument) if the path names
  ///   something else than a file or another process writes to it, Error(kIo).
  explicit LineFile(const std::filesystem::path& path);

  /// How a file ends.
  struct End {
    int64_t n_whole_bytes = 0;  ///< Up to the end of the last whole line.
    std::string last_line;      ///< The last whole line without its end; empty if there is none.
  };
  /// Looks from the end backwards, in pieces, so that a large file takes no longer than a small one.
  /// @param max_line_bytes  of the last whole line and of what follows it.
  /// @return nothing if one of them has more.
  /// @throws Error(kIo)
  std::optional<End> find_end(int64_t max_line_bytes) const;
  /// At most so many bytes from an offset on. @throws Error(kIo)
  std::string read_at(int64_t offset, int64_t max_bytes) const;

  /// Cuts everything behind the first n_bytes off.
  /// @throws Error(kIo)
  void truncate(int64_t n_bytes);

  /// Appends a line in one piece; it has no newline of its own.
  /// @throws Error(kIo), for example when the disk is full; the part that was written is taken back.
  void append(std::string_view line);

  /// Flushes to the disk. @throws Error(kIo)
  void sync();

 private:
  std::optional<int64_t> find_newline(int64_t end, int64_t max_bytes) const;
  [[noreturn]] void fail(const char* action) const;

  std::filesystem::path path_;
  Descriptor descriptor_;
  int64_t n_bytes_ = 0;
};

}  // namespace lille
