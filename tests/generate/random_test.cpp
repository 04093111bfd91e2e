#include "lille/random.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "generate/golden.h"

namespace lille {
namespace {

using test::golden_tensors;
using test::values_of;

constexpr std::array<uint64_t, 4> kSeeds = {0, 1, 42, (uint64_t{1} << 33) + 5};

std::vector<uint32_t> words_of(RandomKey key, size_t n) {
  std::vector<uint32_t> words(n);
  random_words(key, words);
  return words;
}

std::vector<uint32_t> flat(std::array<RandomKey, 2> keys) {
  return {keys[0].words[0], keys[0].words[1], keys[1].words[0], keys[1].words[1]};
}

// The known answers published with the algorithm (Random123, kat_vectors, threefry 2x32 20).
TEST(Threefry, PublishedVectors) {
  EXPECT_EQ(threefry2x32({{0, 0}}, {0, 0}), (std::array<uint32_t, 2>{0x6b200159u, 0x99ba4efeu}));
  EXPECT_EQ(threefry2x32({{0xffffffffu, 0xffffffffu}}, {0xffffffffu, 0xffffffffu}),
            (std::array<uint32_t, 2>{0x1cb996fcu, 0xbb002be7u}));
  EXPECT_EQ(threefry2x32({{0x13198a2eu, 0x03707344u}}, {0x243f6a88u, 0x85a308d3u}),
            (std::array<uint32_t, 2>{0xc4923a9cu, 0x483df7a0u}));
}

TEST(Random, KeysAndSplitsEqualMlx) {
  LILLE_NEED_SHARED();
  const SafetensorsFile golden = golden_tensors("random.safetensors");
  for (const uint64_t seed : kSeeds) {
    const RandomKey key = random_key(seed);
    EXPECT_EQ(std::vector<uint32_t>(key.words.begin(), key.words.end()),
              values_of<uint32_t>(golden, fmt::format("key.{}", seed)));
    EXPECT_EQ(flat(split(key)), values_of<uint32_t>(golden, fmt::format("split.{}", seed)));
    EXPECT_EQ(words_of(key, 10), values_of<uint32_t>(golden, fmt::format("split5.{}", seed)));
  }
}

TEST(Random, UniformNumbersEqualMlx) {
  LILLE_NEED_SHARED();
  const SafetensorsFile golden = golden_tensors("random.safetensors");
  for (const uint64_t seed : kSeeds) {
    for (const size_t n : {1, 2, 3, 8, 9}) {
      std::vector<float> numbers;
      for (const uint32_t word : words_of(random_key(seed), n)) numbers.push_back(uniform_from_word(word));
      EXPECT_EQ(numbers, values_of<float>(golden, fmt::format("uniform{}.{}", n, seed)));
    }
    EXPECT_EQ(uniform(random_key(seed)), values_of<float>(golden, fmt::format("uniform1.{}", seed))[0]);
  }
}

TEST(RandomState, StreamEqualsMlx) {
  LILLE_NEED_SHARED();
  const SafetensorsFile golden = golden_tensors("random.safetensors");
  for (const uint64_t seed : kSeeds) {
    RandomState random(seed);
    std::vector<float> numbers;
    for (int draw = 0; draw < 6; ++draw) numbers.push_back(uniform(random.next()));
    EXPECT_EQ(numbers, values_of<float>(golden, fmt::format("stream_uniform.{}", seed)));
  }
}

TEST(RandomState, ACopyRepeatsTheDraws) {
  RandomState random(7);
  random.next();
  RandomState copy = random;
  const RandomKey key = random.next();
  EXPECT_NE(random, copy);
  EXPECT_EQ(copy.next(), key);
  EXPECT_EQ(random, copy);
}

TEST(Random, AllBitsOfTheSeedCount) {
  for (int bit = 0; bit < 64; ++bit) EXPECT_NE(RandomState(uint64_t{1} << bit), RandomState(0)) << bit;
  EXPECT_EQ(random_key(~uint64_t{0}), (RandomKey{{0xffffffffu, 0xffffffffu}}));
}

TEST(Random, UniformNumbersStayBelowOne) {
  EXPECT_EQ(uniform_from_word(0), 0.0f);
  EXPECT_EQ(uniform_from_word(0x80000000u), 0.5f);
  EXPECT_EQ(uniform_from_word(0xffffffffu), std::nextafter(1.0f, 0.0f));
}

TEST(Random, NoWordsAreAskedFor) { EXPECT_TRUE(words_of(random_key(3), 0).empty()); }

}  // namespace
}  // namespace lille
