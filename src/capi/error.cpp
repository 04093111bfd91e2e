#include "capi/error.h"

#include <cstring>
#include <exception>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "base/error_name.h"
#include "base/utf8.h"

namespace lille::capi {
namespace {

constexpr lille_status status_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return LILLE_INVALID_ARGUMENT;
    case ErrorCode::kInvalidShape:
      return LILLE_INVALID_SHAPE;
    case ErrorCode::kUnsupported:
      return LILLE_UNSUPPORTED;
    case ErrorCode::kNotFound:
      return LILLE_NOT_FOUND;
    case ErrorCode::kCorruptFile:
      return LILLE_CORRUPT_FILE;
    case ErrorCode::kIo:
      return LILLE_IO;
    case ErrorCode::kOutOfMemory:
      return LILLE_OUT_OF_MEMORY;
    case ErrorCode::kCanceled:
      return LILLE_CANCELED;
    case ErrorCode::kInternal:
      break;
  }
  return LILLE_INTERNAL;
}

// As much of the message as there is room for, cut between two characters.
void write(lille_error& error, lille_status status, std::string_view message) noexcept {
  constexpr std::string_view kMore = "...";
  std::size_t n_bytes = message.size();
  const bool is_cut = n_bytes >= sizeof error.message;
  if (is_cut) {
    n_bytes = sizeof error.message - kMore.size() - 1;
    n_bytes -= unfinished_utf8_bytes(message.substr(0, n_bytes));
  }
  error.status = status;
  std::memcpy(error.message, message.data(), n_bytes);
  if (is_cut) std::memcpy(error.message + n_bytes, kMore.data(), kMore.size());
  error.message[n_bytes + (is_cut ? kMore.size() : 0)] = '\0';
}

lille_status tell(lille_error* error, lille_status status, std::string_view message) noexcept {
  if (error != nullptr) write(*error, status, message);
  return status;
}

// The message of a system error is put together when it is asked for, which may fail.
lille_status tell_system_error(lille_error* error, const std::error_code& code) noexcept {
  try {
    return tell(error, LILLE_IO, code.message());
  } catch (...) {
    return tell(error, LILLE_IO, "the operating system refused");
  }
}

}  // namespace

lille_status guarded(lille_error* error, FunctionRef<void()> body) noexcept {
  try {
    body();
    return tell(error, LILLE_OK, "");
  } catch (const Error& thrown) {
    return tell(error, status_of(thrown.code()), thrown.what());
  } catch (const std::bad_alloc&) {
    return tell(error, LILLE_OUT_OF_MEMORY, "memory could not be had");
  } catch (const std::length_error&) {
    return tell(error, LILLE_OUT_OF_MEMORY, "memory could not be had");
  } catch (const std::filesystem::filesystem_error& thrown) {
    return tell_system_error(error, thrown.code());
  } catch (const std::exception& thrown) {
    return tell(error, LILLE_INTERNAL, thrown.what());
  } catch (...) {
    return tell(error, LILLE_INTERNAL, "an exception of an unknown type was thrown");
  }
}

}  // namespace lille::capi

const char* lille_status_name(lille_status status) {
  using lille::capi::status_of;
  if (status == LILLE_OK) return "ok";
  for (int code = 0; code <= static_cast<int>(lille::ErrorCode::kInternal); ++code)
    if (status_of(static_cast<lille::ErrorCode>(code)) == status)
      return lille::error_code_name(static_cast<lille::ErrorCode>(code)).data();
  return "unknown";
}

const char* lille_version(void) { return LILLE_VERSION; }
