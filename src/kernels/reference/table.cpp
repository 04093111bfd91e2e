#include "kernels/reference/reference.h"
#include "kernels/tables.h"

namespace lille::kernels::reference {

constinit const KernelTable kTable = {
    .name = "reference",
    .required_features = "",
    .matmul_scratch_floats = matmul_scratch_floats,
    .matmul = matmul,
    .peak_f32 = nullptr,
    .peak_q8 = nullptr,
    .peak_q4 = nullptr,
    .bf16 = {.x_bytes = sizeof(float),
             .group_rows = 1,
             .round = round_bf16,
             .matmul = matmul_bf16,
             .peak = nullptr},
    .q8_words = false,
    .quantize_q8 = quantize_q8,
    .matmul_q8_scratch_floats = matmul_q8_scratch_floats,
    .matmul_q8 = matmul_q8,
    .dequantize_row = dequantize_row,
    .rms_norm = rms_norm,
    .swiglu = swiglu,
    .add = add,
    .attention = attention,
    .log_sum_exp = log_sum_exp,
    .argmax = argmax,
};

}  // namespace lille::kernels::reference
