#pragma once

#include "kernels/kernel_types.h"

// The one symbol that each folder of kernels gives to the rest of the library.

namespace lille::kernels::reference {
extern const KernelTable kTable;
}  // namespace lille::kernels::reference

namespace lille::kernels::avx2 {
extern const KernelTable kTable;
}  // namespace lille::kernels::avx2

namespace lille::kernels::avx512 {
extern const KernelTable kTable;
}  // namespace lille::kernels::avx512

namespace lille::kernels::avx512vnni {
extern const KernelTable kTable;
}  // namespace lille::kernels::avx512vnni
