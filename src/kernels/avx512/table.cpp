#include "kernels/avx2/q8.h"
#include "kernels/avx512/vec.h"
#include "kernels/simd/table.inl.h"
#include "kernels/tables.h"

namespace lille::kernels::avx512 {

constinit const KernelTable kTable =
    simd::make_table<Vec, avx2::Q8>("avx512", "AVX2, BMI2, FMA, F16C and AVX-512 F, BW, DQ, VL");

}  // namespace lille::kernels::avx512
