#pragma once

#include "kernels/kernel_types.h"

/// The readable definition of every kernel: scalar, accumulating in double, never optimised. The other tables
/// are tested against it.
namespace lille::kernels::reference {

/// One weight of a matrix.
float load_weight(const WeightMatrix& weight, int64_t row, int64_t col) noexcept;

/// What a weight of a kind that takes_q8 is made of: code * scale + bias. The code has its offset taken off.
struct CodedWeight {
  int code = 0;
  float scale = 0;
  float bias = -0.0f;  ///< Kinds without have the zero that changes no product.
};
CodedWeight load_coded(const WeightMatrix& weight, int64_t row, int64_t col) noexcept;

// The entries of KernelTable, which documents them.
int64_t matmul_scratch_floats(int64_t n_in) noexcept;
void matmul(const MatmulArgs& args) noexcept;
void round_bf16(void* to, int64_t to_stride, const float* x, int64_t x_stride, int64_t n_rows,
                int64_t n_in) noexcept;
void matmul_bf16(const MatmulBf16Args& args) noexcept;
void quantize_q8(const Q8Rows& to, const float* x, int64_t n_in, int64_t group_size) noexcept;
int64_t matmul_q8_scratch_floats(int64_t n_in) noexcept;
void matmul_q8(const MatmulQ8Args& args) noexcept;
void dequantize_row(float* out, const WeightMatrix& weight, int64_t row) noexcept;
void rms_norm(float* out, const float* x, const void* weight, FloatKind weight_kind, int64_t n,
              float eps) noexcept;
void swiglu(float* out, const float* gate, const float* up, int64_t n) noexcept;
void add(float* x, const float* y, int64_t n) noexcept;
void attention(const AttentionArgs& args) noexcept;
double log_sum_exp(const float* x, int64_t n) noexcept;
int64_t argmax(const float* x, int64_t n) noexcept;

}  // namespace lille::kernels::reference
