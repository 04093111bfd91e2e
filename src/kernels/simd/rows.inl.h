#pragma once

#include "kernels/simd/exp.inl.h"
#include "kernels/simd/float_rows.inl.h"

namespace lille::kernels::simd {
namespace {

constexpr float kInfinity = __builtin_inff();
constexpr float kLargestFloat = 0x1.fffffep+127f;

/// Calls use(offset, n) for each vector of n elements; n < V::kLanes for the last one only.
template <typename V, typename Use>
inline void for_each_vector(int64_t n, Use use) {
  int64_t idx = 0;
  for (; idx + V::kLanes <= n; idx += V::kLanes) use(idx, V::kLanes);
  if (idx < n) use(idx, n - idx);
}

template <typename V>
inline typename V::F load_up_to(const float* from, int64_t n) {
  return n == V::kLanes ? V::load(from) : V::load_n(from, n);
}

template <typename V>
inline void store_up_to(float* to, typename V::F v, int64_t n) {
  if (n == V::kLanes) {
    V::store(to, v);
  } else {
    V::store_n(to, v, n);
  }
}

/// reference::round_bf16. The loop has no branch, so that a compiler makes vectors of it.
template <typename V>
void round_bf16(void* to, int64_t to_stride, const float* x, int64_t x_stride, int64_t n_rows,
                int64_t n_in) noexcept {
  for (int64_t row = 0; row < n_rows; ++row) {
    float* rounded = static_cast<float*>(to) + row * to_stride;
    for (int64_t col = 0; col < n_in; ++col) {
      uint32_t bits;
      __builtin_memcpy(&bits, x + row * x_stride + col, sizeof(bits));
      const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
      bits = is_nan ? bits | 0x400000u : bits + 0x7fffu + (bits >> 16 & 1u);
      bits &= 0xffff0000u;
      __builtin_memcpy(rounded + col, &bits, sizeof(bits));
    }
  }
}

template <typename V, FloatKind kKind>
inline void rms_norm_of(float* out, const float* x, const Byte* weight, int64_t n, float eps) {
  using F = typename V::F;
  using Weights = Floats<V, kKind>;
  F squares = V::zero();
  for_each_vector<V>(n, [&](int64_t idx, int64_t n_lanes) {
    const F lanes = load_up_to<V>(x + idx, n_lanes);
    squares = V::fma(lanes, lanes, squares);
  });
  const float mean = V::sum(squares) / static_cast<float>(n);
  const F inverse_root = V::div(V::set(1.0f), V::sqrt(V::set(mean + eps)));
  for_each_vector<V>(n, [&](int64_t idx, int64_t n_lanes) {
    const Byte* from = weight + idx * Weights::kBytes;
    const F scale = n_lanes == V::kLanes ? Weights::load(from) : Weights::load_n(from, n_lanes);
    const F normed = V::mul(load_up_to<V>(x + idx, n_lanes), inverse_root);
    store_up_to<V>(out + idx, V::mul(normed, scale), n_lanes);
  });
}

template <typename V>
void rms_norm(float* out, const float* x, const void* weight, FloatKind weight_kind, int64_t n,
              float eps) noexcept {
  const auto* bytes = static_cast<const Byte*>(weight);
  switch (weight_kind) {
    case FloatKind::kF32:
      return rms_norm_of<V, FloatKind::kF32>(out, x, bytes, n, eps);
    case FloatKind::kF16:
      return rms_norm_of<V, FloatKind::kF16>(out, x, bytes, n, eps);
    case FloatKind::kBF16:
      return rms_norm_of<V, FloatKind::kBF16>(out, x, bytes, n, eps);
  }
}

template <typename V>
void swiglu(float* out, const float* gate, const float* up, int64_t n) noexcept {
  using F = typename V::F;
  for_each_vector<V>(n, [&](int64_t idx, int64_t n_lanes) {
    // At -infinity the quotient would be -inf / inf; the largest finite float gives the limit, -0.
    const F x = V::max(V::set(-kLargestFloat), load_up_to<V>(gate + idx, n_lanes));
    const F silu = V::div(x, V::add(V::set(1.0f), exp<V>(V::sub(V::zero(), x))));
    store_up_to<V>(out + idx, V::mul(silu, load_up_to<V>(up + idx, n_lanes)), n_lanes);
  });
}

template <typename V>
void add(float* x, const float* y, int64_t n) noexcept {
  for_each_vector<V>(n, [&](int64_t idx, int64_t n_lanes) {
    store_up_to<V>(x + idx, V::add(load_up_to<V>(x + idx, n_lanes), load_up_to<V>(y + idx, n_lanes)),
                   n_lanes);
  });
}

/// The largest of n, NaN left out; -infinity if nothing else is there.
template <typename V>
inline float largest_of(const float* x, int64_t n) {
  typename V::F lanes = V::set(-kInfinity);
  int64_t idx = 0;
  for (; idx + V::kLanes <= n; idx += V::kLanes) lanes = V::max(V::load(x + idx), lanes);
  float largest = V::largest(lanes);
  for (; idx < n; ++idx)
    if (x[idx] > largest) largest = x[idx];
  return largest;
}

template <typename V>
double log_sum_exp(const float* x, int64_t n) noexcept {
  using F = typename V::F;
  const float largest = largest_of<V>(x, n);
  if (largest == kInfinity || largest == -kInfinity) {
    for (int64_t idx = 0; idx < n; ++idx)
      if (x[idx] != x[idx]) return static_cast<double>(x[idx]);
    return static_cast<double>(largest);
  }
  typename V::DoubleSum sum;
  for_each_vector<V>(n, [&](int64_t idx, int64_t n_lanes) {
    const F lanes = exp<V>(V::sub(load_up_to<V>(x + idx, n_lanes), V::set(largest)));
    sum.add(n_lanes == V::kLanes ? lanes : V::keep_n(lanes, n_lanes));
  });
  return static_cast<double>(largest) + __builtin_log(sum.total());
}

template <typename V>
int64_t argmax(const float* x, int64_t n) noexcept {
  const float largest = largest_of<V>(x, n);
  int64_t idx = 0;
  for (; idx + V::kLanes <= n; idx += V::kLanes) {
    const uint32_t equal = V::equal(V::load(x + idx), V::set(largest));
    if (equal != 0) return idx + __builtin_ctz(equal);
  }
  for (; idx < n; ++idx)
    if (x[idx] == largest) return idx;
  return 0;
}

}  // namespace
}  // namespace lille::kernels::simd
