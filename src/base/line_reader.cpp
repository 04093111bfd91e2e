#include "base/line_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/check.h"
#include "base/text.h"

namespace lille {
namespace {

constexpr std::size_t kRefillBytes = 1 << 16;

Descriptor open_any(const std::filesystem::path& path) {
  Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (descriptor.get() >= 0) return descriptor;
  const int reason = errno;
  if (reason == ENOENT || reason == ENOTDIR)
    raise(ErrorCode::kNotFound, "[open] {}: no such file. Hint: check the path", printable_path(path));
  raise(ErrorCode::kIo, "[open] {}: {}. Hint: may this user read it?", printable_path(path),
        std::strerror(reason));
}

}  // namespace

LineReader::LineReader(const std::filesystem::path& path, std::size_t max_line_bytes)
    : path_(path), descriptor_(open_any(path)), max_line_bytes_(max_line_bytes) {
  struct stat status {};
  if (::fstat(descriptor_.get(), &status) == 0 && S_ISDIR(status.st_mode))
    raise(ErrorCode::kInvalidArgument, "[open] {}: expected a file, got a folder. Hint: name a file in it",
          printable_path(path));
}

// A copy, so that the process keeps its own.
LineReader::LineReader(std::size_t max_line_bytes)
    : path_("stdin"),
      descriptor_(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)),
      max_line_bytes_(max_line_bytes) {
  if (descriptor_.get() < 0) raise(ErrorCode::kIo, "[open] stdin: {}", std::strerror(errno));
}

bool LineReader::fill() {
  buffer_.resize(kRefillBytes);
  n_taken_ = 0;
  while (true) {
    const ssize_t n_read = ::read(descriptor_.get(), buffer_.data(), buffer_.size());
    if (n_read < 0 && errno == EINTR) continue;
    buffer_.resize(static_cast<std::size_t>(std::max<ssize_t>(n_read, 0)));
    if (n_read < 0) raise(ErrorCode::kIo, "[read] {}: {}", printable_path(path_), std::strerror(errno));
    return n_read > 0;
  }
}

void LineReader::skip_rest() {
  while (has_rest_ && (n_taken_ < buffer_.size() || fill())) {
    const std::size_t end = buffer_.find('\n', n_taken_);
    has_rest_ = end == std::string::npos;
    n_taken_ = has_rest_ ? buffer_.size() : end + 1;
  }
}

std::optional<LineReader::Line> LineReader::next() {
  skip_rest();
  Line line;
  bool has_begun = false;
  while (n_taken_ < buffer_.size() || fill()) {
    has_begun = true;
    const std::string_view left = std::string_view(buffer_).substr(n_taken_);
    const std::size_t end = left.find('\n');
    // One byte more than is allowed, for a carriage return.
    const std::size_t n_room = max_line_bytes_ + 1 - line.text.size();
    const std::string_view piece = left.substr(0, std::min(end, n_room));
    line.text += piece;
    n_taken_ += piece.size();
    has_rest_ = piece.size() < std::min(end, left.size());
    if (has_rest_) break;
    if (end == std::string_view::npos) continue;
    ++n_taken_;
    break;
  }
  if (!has_begun) return std::nullopt;
  line.number = ++n_lines_;
  if (!has_rest_ && line.text.ends_with('\r')) line.text.pop_back();
  line.is_too_long = has_rest_ || line.text.size() > max_line_bytes_;
  return line;
}

}  // namespace lille
