#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace lille {

/// A key of the counter-based generator Threefry-2x32 with 20 rounds: all randomness drawn with one key is a
/// pure function of it. Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011); mlx
/// mlx/random.cpp.
struct RandomKey {
  std::array<uint32_t, 2> words{};  ///< The two halves of the key.

  bool operator==(const RandomKey&) const = default;
};

/// The key that mlx.random.key(seed) gives: the upper and the lower half of the seed.
RandomKey random_key(uint64_t seed) noexcept;

/// Threefry-2x32, 20 rounds: the block `counter` encrypted under `key`.
std::array<uint32_t, 2> threefry2x32(RandomKey key, std::array<uint32_t, 2> counter) noexcept;

/// Fills `words` with the random bits mlx draws from `key` for that many words. With h = n / 2 and o = n mod
/// 2, words i and h + o + i are the two halves of threefry2x32(key, {i, h + o + i}); for odd n, word h is the
/// first half of threefry2x32(key, {h, 0}).
/// @param words  At most 2^32 of them.
void random_words(RandomKey key, std::span<uint32_t> words) noexcept;

/// Two independent keys made from one: random_words(key, 4) in two rows.
std::array<RandomKey, 2> split(RandomKey key) noexcept;

/// The number in [0, 1) that a random word stands for: min(float(word) / 2^32, the largest float below 1).
float uniform_from_word(uint32_t word) noexcept;

/// One number in [0, 1), as mlx.random.uniform(key=key) of shape [1] gives it.
float uniform(RandomKey key) noexcept;

/// The random state of one sequence: equal seeds give equal draws, whatever else runs beside it.
/// A value: a copy goes on as the original would have, which is how a draw is taken back.
class RandomState {
 public:
  /// Begins with random_key(seed).
  explicit RandomState(uint64_t seed) noexcept : state_(random_key(seed)) {}

  /// The key of the next draw. Splits the state as mlx does for each call without a key: the first half is
  /// the new state, the second the key.
  RandomKey next() noexcept;

  bool operator==(const RandomState&) const = default;

 private:
  RandomKey state_;
};

}  // namespace lille
