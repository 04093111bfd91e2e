#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/descriptor.h"

namespace lille {

/// Reads a file, pipe or device line by line as they come; at most one line of it is in memory.
class LineReader {
 public:
  struct Line {
    int64_t number = 0;  ///< From 1; every line counts.
    std::string text;    ///< Without its end, "\n" or "\r\n".
    /// Whether it has more than max_line_bytes; the text then is its beginning. It is given out as soon as
    /// that is known, and the next call skips the rest.
    bool is_too_long = false;
  };

  /// @throws Error(kNotFound | kIo) that names the path; Error(kInvalidArgument) for a folder.
  LineReader(const std::filesystem::path& path, std::size_t max_line_bytes);
  /// Of what comes on stdin.
  explicit LineReader(std::size_t max_line_bytes);

  /// The next line; the last one needs no end. Nothing at the end of the file.
  /// @throws Error(kIo)
  std::optional<Line> next();

 private:
  bool fill();
  void skip_rest();

  std::filesystem::path path_;
  Descriptor descriptor_;
  std::size_t max_line_bytes_;
  std::string buffer_;
  std::size_t n_taken_ = 0;  // of buffer_
  int64_t n_lines_ = 0;
  bool has_rest_ = false;  // of a line that was too long
};

}  // namespace lille
