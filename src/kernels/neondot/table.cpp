#include "kernels/neon/q8.h"
#include "kernels/simd/table.inl.h"
#include "kernels/tables.h"

namespace lille::kernels::neondot {
namespace {

/// Products of signed bytes, summed by fours.
struct DotOfSigned {
  static constexpr bool kTakesUnsigned = false;

  static int32x4_t add(int32x4_t sums, uint8x16_t codes, int8x16_t x) {
    return vdotq_s32(sums, vreinterpretq_s8_u8(codes), x);
  }
};

}  // namespace

constinit const KernelTable kTable =
    simd::make_table<neon::Vec, neon::Q8<DotOfSigned>>("neondot", "NEON and its dot product");

}  // namespace lille::kernels::neondot
