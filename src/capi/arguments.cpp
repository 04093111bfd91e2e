#include "capi/arguments.h"

#include <cstring>

#include "lille.h"

namespace lille::capi {

void check_count(int64_t n, int64_t max, std::string_view where) {
  if (n < 0 || n > max)
    raise(ErrorCode::kInvalidArgument, "[{}] expected a size from 0 to {}, got {}", where, max, n);
}

std::string_view text_of(const char* text, int64_t n_bytes, std::string_view where) {
  needed(text, where);
  check_count(n_bytes, kMaxTextBytes, where);
  return {text, static_cast<std::size_t>(n_bytes)};
}

std::string_view text_of(const char* text, std::string_view where) { return &needed(text, where); }

}  // namespace lille::capi

void lille_free(void* memory) { std::free(memory); }
