#include "hub/blob_hash.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "base/check.h"

namespace lille {
namespace {

constexpr std::size_t kSha256Digits = 64;
constexpr std::size_t kSha1Digits = 40;

bool is_hexadecimal(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

struct BlobHash::State {
  struct Free {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context{EVP_MD_CTX_new()};
};

std::optional<HashKind> hash_kind(std::string_view etag) noexcept {
  if (!is_hexadecimal(etag)) return std::nullopt;
  if (etag.size() == kSha256Digits) return HashKind::kSha256;
  if (etag.size() == kSha1Digits) return HashKind::kGitBlob;
  return std::nullopt;
}

BlobHash::BlobHash(HashKind kind, int64_t n_bytes) : state_(std::make_unique<State>()) {
  const EVP_MD* algorithm = kind == HashKind::kSha256 ? EVP_sha256() : EVP_sha1();
  if (state_->context == nullptr || EVP_DigestInit_ex(state_->context.get(), algorithm, nullptr) != 1)
    raise(ErrorCode::kUnsupported, "[hash] this system's OpenSSL has no {}",
          kind == HashKind::kSha256 ? "SHA-256" : "SHA-1");
  if (kind == HashKind::kSha256) return;
  const std::string header = fmt::format("blob {}", n_bytes);
  update(std::as_bytes(std::span(header.c_str(), header.size() + 1)));
}

BlobHash::~BlobHash() = default;

void BlobHash::update(std::span<const std::byte> bytes) {
  LILLE_CHECK(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}

std::string BlobHash::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int n_bytes = 0;
  LILLE_CHECK(EVP_DigestFinal_ex(state_->context.get(), digest.data(), &n_bytes) == 1);
  std::string digits;
  for (const unsigned char byte : std::span(digest).first(n_bytes)) digits += fmt::format("{:02x}", byte);
  return digits;
}

}  // namespace lille
