#pragma once

namespace lille::kernels::simd {
namespace {

/// exp of every lane, within 2 units in the last place; subnormal results included, NaN stays NaN.
/// x = n * ln 2 + r with |r| <= ln(2) / 2, exp(x) = 2^n * exp(r); the Taylor polynomial of degree 7 leaves
/// 5e-9.
template <typename V>
inline typename V::F exp(typename V::F x) {
  using F = typename V::F;
  // exp(-120) is far below the smallest subnormal, exp(100) far above the largest float; max and min pass NaN
  // on because x is their second operand.
  x = V::min(V::set(100.0f), V::max(V::set(-120.0f), x));
  const F n = V::round(V::mul(x, V::set(0x1.715476p+0f)));
  // ln 2 in two parts; the first has so few bits that n times it is exact.
  const F r = V::fma(n, V::set(0x1.bd0106p-13f), V::fma(n, V::set(-0x1.63p-1f), x));
  F p = V::set(1.0f / 5040);
  p = V::fma(p, r, V::set(1.0f / 720));
  p = V::fma(p, r, V::set(1.0f / 120));
  p = V::fma(p, r, V::set(1.0f / 24));
  p = V::fma(p, r, V::set(1.0f / 6));
  p = V::fma(p, r, V::set(0.5f));
  p = V::fma(p, r, V::set(1.0f));
  p = V::fma(p, r, V::set(1.0f));
  return V::scale_by_power(p, n);
}

}  // namespace
}  // namespace lille::kernels::simd
