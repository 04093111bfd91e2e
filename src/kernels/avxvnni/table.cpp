#include "kernels/avxvnni/q8.h"
#include "kernels/simd/matmul_q8.inl.h"
#include "kernels/simd/peak.inl.h"
#include "kernels/tables.h"

namespace lille::kernels::avxvnni {

constinit const Q8Kernels kKernels = {.words = false,
                                      .quantize = simd::quantize_q8<Q8>,
                                      .matmul = simd::matmul_q8<Q8>,
                                      .peak = simd::peak_q8<Q8>};

}  // namespace lille::kernels::avxvnni
