#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lille {

/// What the hub names contents by.
enum class HashKind {
  kSha256,   ///< Large files: SHA-256 of the content.
  kGitBlob,  ///< Small files: SHA-1 of "blob SIZE", a zero byte and the content.
};

/// The kind by the form of an etag: 64 or 40 hexadecimal digits. Nothing for another, which says nothing
/// about the content.
std::optional<HashKind> hash_kind(std::string_view etag) noexcept;

/// The hash of a content that comes in pieces.
class BlobHash {
 public:
  /// @param n_bytes  size of the whole content, which a git blob's hash begins with.
  BlobHash(HashKind kind, int64_t n_bytes);
  ~BlobHash();
  BlobHash(const BlobHash&) = delete;
  BlobHash& operator=(const BlobHash&) = delete;

  void update(std::span<const std::byte> bytes);
  /// Lower-case hexadecimal digits; the last call.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lille
