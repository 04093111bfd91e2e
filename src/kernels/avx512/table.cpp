#include "kernels/avx512/vec.h"
#include "kernels/simd/table.inl.h"
#include "kernels/tables.h"

namespace lille::kernels::avx512 {

constinit const KernelTable kTable =
    simd::make_table<Vec>("avx512", "AVX2, FMA, F16C and AVX-512 F, BW, DQ, VL");

}  // namespace lille::kernels::avx512
