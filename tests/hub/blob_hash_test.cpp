#include "hub/blob_hash.h"

#include <gtest/gtest.h>

#include "hub/fake_hub.h"

namespace lille {
namespace {

// FIPS 180-2, appendix B.1.
TEST(BlobHash, Sha256IsThatOfTheStandard) {
  EXPECT_EQ(test::hash_of(HashKind::kSha256, "abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(test::hash_of(HashKind::kSha256, ""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

// printf 'test content\n' | git hash-object --stdin, as in "Pro Git", Git Objects.
TEST(BlobHash, GitBlobIsThatOfGit) {
  EXPECT_EQ(test::hash_of(HashKind::kGitBlob, "test content\n"), "d670460b4b4aece5915caf5c68d12f560a9fe3e4");
  EXPECT_EQ(test::hash_of(HashKind::kGitBlob, ""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

TEST(BlobHash, DoesNotDependOnThePieces) {
  BlobHash hash(HashKind::kSha256, 3);
  for (const std::string_view piece : {"a", "", "bc"})
    hash.update(std::as_bytes(std::span(piece.data(), piece.size())));
  EXPECT_EQ(hash.finish(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(HashKind, IsKnownByTheForm) {
  EXPECT_EQ(hash_kind(std::string(64, 'a')), HashKind::kSha256);
  EXPECT_EQ(hash_kind(std::string(40, '0')), HashKind::kGitBlob);
  EXPECT_EQ(hash_kind(std::string(64, 'g')), std::nullopt);
  EXPECT_EQ(hash_kind(std::string(64, 'A')), std::nullopt);
  EXPECT_EQ(hash_kind(std::string(32, 'a')), std::nullopt);
  EXPECT_EQ(hash_kind(""), std::nullopt);
}

}  // namespace
}  // namespace lille
