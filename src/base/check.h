#pragma once

#include <fmt/format.h>

#include <cassert>
#include <string>
#include <string_view>
#include <utility>

#include "lille/error.h"

namespace lille {

/// Throws an Error whose message is formatted as fmt::format does.
template <typename... Args>
[[noreturn]] void raise(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

/// Throws Error(kInvalidArgument) about one option or field, which the message names as its reader writes it.
template <typename... Args>
[[noreturn]] void raise_field(std::string_view field, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format(format, std::forward<Args>(args)...),
              std::string(field));
}

}  // namespace lille

/// An invariant of the library, checked in every build; input is never checked with it.
#define LILLE_CHECK(condition)                                                                          \
  do {                                                                                                  \
    if (!(condition))                                                                                   \
      ::lille::raise(::lille::ErrorCode::kInternal, "[{}:{}] broken invariant: {}", __FILE__, __LINE__, \
                     #condition);                                                                       \
  } while (false)

/// An invariant checked in debug builds only; the one check that kernels may use.
#define LILLE_DCHECK(condition) assert(condition)
