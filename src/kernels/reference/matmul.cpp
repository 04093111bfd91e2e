#include "base/dtype.h"
#include "kernels/reference/reference.h"

namespace lille::kernels::reference {

int64_t matmul_scratch_floats(int64_t n_in) noexcept { return n_in; }

void dequantize_row(float* out, const WeightMatrix& weight, int64_t row) noexcept {
  for (int64_t col = 0; col < weight.n_in; ++col) out[col] = load_weight(weight, row, col);
}

void matmul(const MatmulArgs& args) noexcept {
  for (int64_t out_idx = args.out_begin; out_idx < args.out_end; ++out_idx) {
    dequantize_row(args.scratch, args.weight, out_idx);
    for (int64_t row = 0; row < args.n_rows; ++row) {
      const float* x = args.x + row * args.x_stride;
      double sum = 0;
      for (int64_t col = 0; col < args.weight.n_in; ++col) sum += double{x[col]} * double{args.scratch[col]};
      args.out[row * args.out_stride + out_idx] = static_cast<float>(sum);
    }
  }
}

void round_bf16(void* to, int64_t to_stride, const float* x, int64_t x_stride, int64_t n_rows,
                int64_t n_in) noexcept {
  for (int64_t row = 0; row < n_rows; ++row)
    for (int64_t col = 0; col < n_in; ++col)
      static_cast<float*>(to)[row * to_stride + col] = bf16_to_f32(f32_to_bf16(x[row * x_stride + col]));
}

void matmul_bf16(const MatmulBf16Args& args) noexcept {
  matmul({.out = args.out,
          .out_stride = args.out_stride,
          .x = static_cast<const float*>(args.x),
          .x_stride = args.x_stride,
          .n_rows = args.n_rows,
          .weight = args.weight,
          .out_begin = args.out_begin,
          .out_end = args.out_end,
          .scratch = args.scratch});
}

}  // namespace lille::kernels::reference
