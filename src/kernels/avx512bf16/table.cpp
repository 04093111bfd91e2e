#include "kernels/avx512/vec.h"
#include "kernels/simd/matmul.inl.h"
#include "kernels/simd/peak.inl.h"
#include "kernels/tables.h"

namespace lille::kernels::avx512bf16 {
namespace {

/// 32 elements of bfloat16.
struct Bf16Lanes {
  using F = __m512bh;
  static constexpr int64_t kBytes = 2;

  static F load(const void* from) { return as_bf16(_mm512_loadu_si512(from)); }
  static F load_n(const void* from, int64_t n) {
    return as_bf16(_mm512_maskz_loadu_epi16((1u << n) - 1, from));
  }

 private:
  static F as_bf16(__m512i bits) { return reinterpret_cast<F>(bits); }
};

/// The policy of dot_tile for products of bfloat16: a lane of sums takes the products of two neighbours, the
/// second first, each rounded to float32 when it is added, subnormal numbers as zero.
struct Bf16Dots {
  using Lanes = avx512::Vec;
  using X = uint16_t;
  using Load = Bf16Lanes;
  static constexpr int64_t kColumns = 32;
  static constexpr int kTileRows = Lanes::kTileRows;

  static __m512 dot(__m512 sums, __m512bh x, __m512bh weights) { return _mm512_dpbf16_ps(sums, x, weights); }
};

void round_row(uint16_t* bits, const float* x, int64_t n) {
  int64_t idx = 0;
  for (; idx + 16 <= n; idx += 16)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(bits + idx),
                        reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_loadu_ps(x + idx))));
  if (idx == n) return;
  const __mmask16 rest = avx512::Vec::first(n - idx);
  _mm256_mask_storeu_epi16(
      bits + idx, rest, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(rest, x + idx))));
}

void round(void* to, int64_t to_stride, const float* x, int64_t x_stride, int64_t n_rows,
           int64_t n_in) noexcept {
  for (int64_t row = 0; row < n_rows; ++row)
    round_row(static_cast<uint16_t*>(to) + row * to_stride, x + row * x_stride, n_in);
}

void matmul(const MatmulBf16Args& args) noexcept {
  simd::matmul_floats<Bf16Dots, Bf16Lanes>(simd::rows_of_type<uint16_t>(args));
}

int64_t peak(float* sink, int64_t n_rounds) noexcept {
  const __m512bh x = Bf16Lanes::load(sink);
  simd::run_chains(
      sink, n_rounds, [](const float* from) { return Bf16Dots::Lanes::load(from); },
      [&](__m512 sums) { return Bf16Dots::dot(sums, x, x); },
      [&](__m512 sums) {
        Bf16Dots::Lanes::store(sink, Bf16Dots::Lanes::add(Bf16Dots::Lanes::load(sink), sums));
      });
  return n_rounds * simd::kPeakChains * Bf16Dots::kColumns * 2;
}

}  // namespace

constinit const Bf16Kernels kKernels = {
    .x_bytes = sizeof(uint16_t), .group_rows = 1, .round = round, .matmul = matmul, .peak = peak};

}  // namespace lille::kernels::avx512bf16
