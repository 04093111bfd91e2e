#include "eval/ceilings.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>

namespace lille {
namespace {

// Bytes that one request for memory ahead stands for, and how far ahead it asks: what the kernels do.
constexpr std::size_t kStep = 256;
constexpr std::size_t kAhead = 8192;

// Several sums, so that the loads do not wait for each other. The bytes behind the last whole step stay
// unread.
uint64_t sum_of(std::span<const std::byte> bytes, bool asks_ahead) noexcept {
  constexpr std::size_t kWords = kStep / sizeof(uint64_t);
  uint64_t sums[kWords] = {};
  for (std::size_t at = 0; at + kStep <= bytes.size(); at += kStep) {
    if (asks_ahead) __builtin_prefetch(bytes.data() + at + kAhead, 0, 2);
    uint64_t words[kWords];
    std::memcpy(words, bytes.data() + at, kStep);
    for (std::size_t lane = 0; lane < kWords; ++lane) sums[lane] += words[lane];
  }
  uint64_t sum = 0;
  for (const uint64_t lane : sums) sum += lane;
  return sum;
}

}  // namespace

ReadRate::ReadRate(std::vector<std::span<const std::byte>> pieces) : pieces_(std::move(pieces)) {
  for (const std::span<const std::byte> piece : pieces_) n_bytes_ += piece.size();
}

double ReadRate::measure(ThreadPool& pool) const {
  const auto n_threads = static_cast<std::size_t>(pool.n_threads());
  std::atomic<uint64_t> sink = 0;
  double best = 0;
  for (const bool asks_ahead : {false, true}) {
    const auto begin = std::chrono::steady_clock::now();
    pool.run(pool.n_threads(), [&](int64_t part, int64_t) {
      std::size_t skip = n_bytes_ * static_cast<std::size_t>(part) / n_threads;
      std::size_t left = n_bytes_ * static_cast<std::size_t>(part + 1) / n_threads - skip;
      for (const std::span<const std::byte> piece : pieces_) {
        const std::size_t first = std::min(skip, piece.size());
        const std::size_t n_read = std::min(left, piece.size() - first);
        sink += sum_of(piece.subspan(first, n_read), asks_ahead);
        skip -= first;
        left -= n_read;
      }
    });
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    best = std::max(best, 1e-9 * static_cast<double>(n_bytes_) / std::max(took.count(), 1e-9));
  }
  return best;
}

double peak_gops(ThreadPool& pool, kernels::PeakKernel kernel) {
  if (kernel == nullptr) return 0;
  // A few milliseconds: long beside the start of the threads, short beside a run.
  constexpr int64_t kRounds = 1'000'000;
  std::atomic<int64_t> n_operations = 0;
  const auto begin = std::chrono::steady_clock::now();
  pool.run(pool.n_threads(), [&](int64_t, int64_t) {
    alignas(64) float sink[kernels::kPeakFloats] = {};
    n_operations += kernel(sink, kRounds);
  });
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  return 1e-9 * static_cast<double>(n_operations.load()) / std::max(took.count(), 1e-9);
}

}  // namespace lille
