#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace lille {

/// What kind of failure an Error reports; front ends map it to exit codes and HTTP statuses.
enum class ErrorCode {
  kInvalidArgument,  ///< An argument, option or request field is wrong.
  kInvalidShape,     ///< Shapes of tensors or views do not fit each other.
  kUnsupported,      ///< Valid, but not something this build or machine can do.
  kNotFound,         ///< A file, folder, tensor or name does not exist.
  kCorruptFile,      ///< A file's content contradicts its format.
  kIo,               ///< The operating system refused to read or write.
  kOutOfMemory,      ///< Memory could not be had.
  kCanceled,         ///< The caller asked to stop.
  kInternal,         ///< A broken invariant of the library itself.
};

/// The one exception type of the library.
/// The message has the form `[where] what: expected ..., got .... Hint: what to do`, is valid UTF-8 and one
/// line.
class Error : public std::runtime_error {
 public:
  /// An error of this kind; `message` is what what() returns, `field` what field() does.
  Error(ErrorCode code, const std::string& message, std::string field = {})
      : std::runtime_error(message), code_(code), field_(std::move(field)) {}

  /// The kind of failure.
  ErrorCode code() const noexcept { return code_; }
  /// The option, field or header that is wrong, by its name without dashes ("top_p"); empty if it is none.
  const std::string& field() const noexcept { return field_; }

 private:
  ErrorCode code_;
  std::string field_;
};

}  // namespace lille
