#include "base/content_hash.h"

#include <fmt/format.h>

// Compiled in, so that the library needs no other one at run time.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace lille {

struct ContentHash::State {
  XXH3_state_t xxh3;
};

ContentHash::ContentHash() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->xxh3); }

ContentHash::~ContentHash() = default;

void ContentHash::update(std::span<const std::byte> bytes) noexcept {
  XXH3_128bits_update(&state_->xxh3, bytes.data(), bytes.size());
}

void ContentHash::update(std::string_view text) noexcept {
  update(std::as_bytes(std::span(text.data(), text.size())));
}

std::string ContentHash::digits() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(&state_->xxh3);
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace lille
