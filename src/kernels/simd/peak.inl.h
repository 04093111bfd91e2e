#pragma once

#include "kernels/simd/tile_q8.inl.h"
#include "kernels/simd/unroll.h"

namespace lille::kernels::simd {
namespace {

/// Sums that do not wait for each other: enough to hide the latency of any unit.
constexpr int kPeakChains = 12;

/// n_rounds times one product in each of the chains: load(from) gives the sums that a chain begins with,
/// dot(sums) the next ones, store(sums) keeps them. A compiler would make one chain of those that begin
/// alike: each begins with its own place of the sink.
template <typename Load, typename Dot, typename Store>
inline void run_chains(const float* sink, int64_t n_rounds, Load load, Dot dot, Store store) {
  decltype(load(sink)) sums[kPeakChains];
  LILLE_UNROLL
  for (int chain = 0; chain < kPeakChains; ++chain) sums[chain] = load(sink + kPeakFloats / 2 + chain);
  for (int64_t round = 0; round < n_rounds; ++round) {
    LILLE_UNROLL
    for (int chain = 0; chain < kPeakChains; ++chain) sums[chain] = dot(sums[chain]);
  }
  LILLE_UNROLL
  for (int chain = 0; chain < kPeakChains; ++chain) store(sums[chain]);
}

/// PeakKernel of float32.
template <typename V>
int64_t peak_f32(float* sink, int64_t n_rounds) noexcept {
  const auto x = V::load(sink);
  run_chains(
      sink, n_rounds, [](const float* from) { return V::load(from); },
      [&](auto sums) { return V::fma(x, x, sums); },
      [&](auto sums) { V::store(sink, V::add(V::load(sink), sums)); });
  return n_rounds * kPeakChains * V::kLanes * 2;
}

/// PeakKernel of 8-bit codes. Where multiplying and adding are two instructions, a compiler would multiply
/// once and for all what never changes.
template <typename Q>
int64_t peak_q8(float* sink, int64_t n_rounds) noexcept {
  auto x = Q::load(sink);
  const auto dot = [&](auto sums) {
    Q::V::hide(x);
    if constexpr (MultipliesWords<Q>) {
      return Q::dot_words(sums, x, x);
    } else {
      return Q::template dot<8>(sums, x, x);
    }
  };
  run_chains(
      sink, n_rounds, [](const float* from) { return Q::load(from); }, dot,
      [&](auto sums) { Q::store(sink, Q::V::add_int(Q::load(sink), sums)); });
  return n_rounds * kPeakChains * Q::kCodes * (MultipliesWords<Q> ? 1 : 2);
}

/// PeakKernel of 4-bit codes.
template <typename Q>
int64_t peak_q4(float* sink, int64_t n_rounds) noexcept {
  if constexpr (MultipliesWords<Q>) {
    auto x = Q::load(sink);
    const auto dot = [&](auto pairs) {
      Q::V::hide(x);
      return Q::dot_pairs(pairs, x, x);
    };
    run_chains(
        sink, n_rounds, [](const float* from) { return Q::load(from); }, dot,
        [&](auto pairs) { Q::store(sink, Q::V::add_int(Q::load(sink), pairs)); });
    return n_rounds * kPeakChains * Q::kCodes * 2;
  } else {
    return peak_q8<Q>(sink, n_rounds);
  }
}

}  // namespace
}  // namespace lille::kernels::simd
