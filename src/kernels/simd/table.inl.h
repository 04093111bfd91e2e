#pragma once

#include "kernels/simd/attention.inl.h"
#include "kernels/simd/matmul.inl.h"
#include "kernels/simd/matmul_q8.inl.h"
#include "kernels/simd/peak.inl.h"
#include "kernels/simd/rows.inl.h"

namespace lille::kernels::simd {
namespace {

/// The table of a vector type V of floats and a type Q of 8-bit codes.
template <typename V, typename Q>
constexpr KernelTable make_table(std::string_view name, std::string_view required_features) {
  return {
      .name = name,
      .required_features = required_features,
      .matmul_scratch_floats = matmul_scratch_floats<V>,
      .matmul = matmul<V>,
      .peak_f32 = peak_f32<V>,
      .peak_q8 = peak_q8<Q>,
      .peak_q4 = peak_q4<Q>,
      .bf16 = {.x_bytes = sizeof(float),
               .group_rows = 1,
               .round = round_bf16<V>,
               .matmul = matmul_bf16<V>,
               .peak = peak_f32<V>},
      .q8_words = MultipliesWords<Q>,
      .quantize_q8 = quantize_q8<Q>,
      .matmul_q8_scratch_floats = matmul_q8_scratch_floats<Q>,
      .matmul_q8 = matmul_q8<Q>,
      .dequantize_row = dequantize_row<V>,
      .rms_norm = rms_norm<V>,
      .swiglu = swiglu<V>,
      .add = add<V>,
      .attention = attention<V>,
      .log_sum_exp = log_sum_exp<V>,
      .argmax = argmax<V>,
  };
}

}  // namespace
}  // namespace lille::kernels::simd
