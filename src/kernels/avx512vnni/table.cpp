#include "kernels/avx512vnni/q8.h"
#include "kernels/simd/table.inl.h"
#include "kernels/tables.h"

namespace lille::kernels::avx512vnni {

constinit const KernelTable kTable = simd::make_table<avx512::Vec, Q8>(
    "avx512vnni", "AVX2, BMI2, FMA, F16C and AVX-512 F, BW, DQ, VL, VBMI, VNNI");

}  // namespace lille::kernels::avx512vnni
