#include "kernels/avx2/q8.h"
#include "kernels/simd/table.inl.h"
#include "kernels/tables.h"

namespace lille::kernels::avx2 {

constinit const KernelTable kTable = simd::make_table<Vec, Q8>("avx2", "AVX2, BMI2, FMA and F16C");

}  // namespace lille::kernels::avx2
