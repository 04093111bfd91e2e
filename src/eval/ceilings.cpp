#include "eval/ceilings.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <vector>

namespace lille {
namespace {

constexpr int64_t kLine = 256;

// Four sums, so that the loads do not wait for each other.
uint64_t sum_of(const uint64_t* from, int64_t n_words) noexcept {
  uint64_t sums[16] = {};
  for (int64_t idx = 0; idx + 16 <= n_words; idx += 16)
    for (int64_t lane = 0; lane < 16; ++lane) sums[lane] += from[idx + lane];
  uint64_t sum = 0;
  for (const uint64_t lane : sums) sum += lane;
  return sum;
}

}  // namespace

double read_gb_per_s(ThreadPool& pool, int64_t n_bytes) {
  constexpr int kPasses = 7;
  const int64_t n_threads = pool.n_threads();
  const int64_t n_words = std::max<int64_t>(n_bytes / kLine, n_threads) * kLine / 8;
  const std::vector<uint64_t> words(static_cast<std::size_t>(n_words), 1);
  std::atomic<uint64_t> sink = 0;
  std::vector<double> rates;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto begin = std::chrono::steady_clock::now();
    pool.run(n_threads, [&](int64_t part, int64_t) {
      const int64_t first = n_words * part / n_threads;
      const int64_t last = n_words * (part + 1) / n_threads;
      sink += sum_of(words.data() + first, last - first);
    });
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    rates.push_back(8e-9 * static_cast<double>(n_words) / took.count());
  }
  std::nth_element(rates.begin(), rates.begin() + kPasses / 2, rates.end());
  return rates[kPasses / 2];
}

}  // namespace lille
