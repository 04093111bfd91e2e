#pragma once

#include "kernels/kernel_types.h"

// The one symbol that each folder of kernels gives to the rest of the library: a table, or what it has that
// is better than the table of another.

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

namespace lille::kernels::avx512bf16 {
extern const Bf16Kernels kKernels;
}  // namespace lille::kernels::avx512bf16

namespace lille::kernels::avxvnni {
extern const Q8Kernels kKernels;
}  // namespace lille::kernels::avxvnni

namespace lille::kernels::amx {
struct Kernels {
  Q8Kernels q8;
  Bf16Kernels bf16;
};
extern const Kernels kKernels;
}  // namespace lille::kernels::amx

namespace lille::kernels::neon {
extern const KernelTable kTable;
}  // namespace lille::kernels::neon

namespace lille::kernels::neondot {
extern const KernelTable kTable;
}  // namespace lille::kernels::neondot

namespace lille::kernels::neoni8mm {
extern const KernelTable kTable;
}  // namespace lille::kernels::neoni8mm
