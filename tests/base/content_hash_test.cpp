#include "base/content_hash.h"

#include <gtest/gtest.h>

namespace lille {
namespace {

std::string bytes_0_to(std::size_t n) {
  std::string bytes;
  for (std::size_t idx = 0; idx < n; ++idx) bytes.push_back(static_cast<char>(idx % 251));
  return bytes;
}

// What `xxh128sum` of Debian's xxhash 0.8.1 prints for these contents.
TEST(ContentHash, IsWhatXxh128sumPrints) {
  const auto hash_of = [](std::string_view text) {
    ContentHash hash;
    hash.update(text);
    return hash.digits();
  };
  EXPECT_EQ(hash_of(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash_of("lille"), "2d4c9571181a9b71a65fc53b57dc4b89");
  EXPECT_EQ(hash_of(bytes_0_to(10000)), "89dec82a789965e61cb3abee1c2fc1c4");
}

TEST(ContentHash, HowTheBytesAreCutDoesNotMatter) {
  const std::string bytes = bytes_0_to(3000);
  ContentHash whole;
  whole.update(bytes);
  for (const std::size_t step : {1, 7, 256, 1024}) {
    ContentHash pieces;
    for (std::size_t begin = 0; begin < bytes.size(); begin += step)
      pieces.update(std::string_view(bytes).substr(begin, step));
    pieces.update("");
    EXPECT_EQ(pieces.digits(), whole.digits()) << step;
  }
}

}  // namespace
}  // namespace lille
