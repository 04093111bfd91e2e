#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace lille {

/// 128 bits of any number of bytes: XXH3. Tells contents apart that differ by accident; whoever wants to can
/// make two contents of one hash.
class ContentHash {
 public:
  ContentHash();
  ~ContentHash();
  ContentHash(const ContentHash&) = delete;
  ContentHash& operator=(const ContentHash&) = delete;

  /// Takes up more bytes. How they are cut into calls does not matter.
  void update(std::span<const std::byte> bytes) noexcept;
  void update(std::string_view text) noexcept;

  /// The hash of all bytes so far: 32 hexadecimal digits, as `xxh128sum` prints it.
  std::string digits() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lille
