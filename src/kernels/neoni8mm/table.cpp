#include "kernels/neon/q8.h"
#include "kernels/simd/table.inl.h"
#include "kernels/tables.h"

namespace lille::kernels::neoni8mm {
namespace {

/// Products of unsigned and signed bytes, summed by fours.
struct DotOfUnsigned {
  static constexpr bool kTakesUnsigned = true;

  static int32x4_t add(int32x4_t sums, uint8x16_t codes, int8x16_t x) { return vusdotq_s32(sums, codes, x); }
};

}  // namespace

constinit const KernelTable kTable =
    simd::make_table<neon::Vec, neon::Q8<DotOfUnsigned>>("neoni8mm", "NEON, its dot product and I8MM");

}  // namespace lille::kernels::neoni8mm
