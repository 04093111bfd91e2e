#include "lille/random.h"

#include <algorithm>
#include <bit>

namespace lille {
namespace {

constexpr uint32_t kKeyParity = 0x1BD11BDAu;
constexpr std::array<std::array<int, 4>, 2> kRotations = {{{13, 15, 26, 6}, {17, 29, 16, 24}}};
constexpr float kLargestBelowOne = 0x1.fffffep-1f;

}  // namespace

RandomKey random_key(uint64_t seed) noexcept {
  return {{static_cast<uint32_t>(seed >> 32), static_cast<uint32_t>(seed)}};
}

std::array<uint32_t, 2> threefry2x32(RandomKey key, std::array<uint32_t, 2> counter) noexcept {
  const std::array<uint32_t, 3> schedule = {key.words[0], key.words[1],
                                            kKeyParity ^ key.words[0] ^ key.words[1]};
  uint32_t left = counter[0] + schedule[0];
  uint32_t right = counter[1] + schedule[1];
  for (uint32_t group = 0; group < 5; ++group) {
    for (const int rotation : kRotations[group % 2]) {
      left += right;
      right = std::rotl(right, rotation) ^ left;
    }
    left += schedule[(group + 1) % 3];
    right += schedule[(group + 2) % 3] + group + 1;
  }
  return {left, right};
}

void random_words(RandomKey key, std::span<uint32_t> words) noexcept {
  const size_t half = words.size() / 2;
  const size_t rest = words.size() - half;
  for (size_t i = 0; i < half; ++i) {
    const auto [first, second] =
        threefry2x32(key, {static_cast<uint32_t>(i), static_cast<uint32_t>(rest + i)});
    words[i] = first;
    words[rest + i] = second;
  }
  if (rest != half) words[half] = threefry2x32(key, {static_cast<uint32_t>(half), 0})[0];
}

std::array<RandomKey, 2> split(RandomKey key) noexcept {
  std::array<uint32_t, 4> words;
  random_words(key, words);
  return {RandomKey{{words[0], words[1]}}, RandomKey{{words[2], words[3]}}};
}

float uniform_from_word(uint32_t word) noexcept {
  return std::min(static_cast<float>(word) * 0x1p-32f, kLargestBelowOne);
}

float uniform(RandomKey key) noexcept { return uniform_from_word(threefry2x32(key, {0, 0})[0]); }

RandomKey RandomState::next() noexcept {
  const auto [state, key] = split(state_);
  state_ = state;
  return key;
}

}  // namespace lille
