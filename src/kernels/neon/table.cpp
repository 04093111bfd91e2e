#include "kernels/neon/q8.h"
#include "kernels/simd/table.inl.h"
#include "kernels/tables.h"

namespace lille::kernels::neon {

constinit const KernelTable kTable = simd::make_table<Vec, Q8<DotBySteps>>("neon", "NEON");

}  // namespace lille::kernels::neon
