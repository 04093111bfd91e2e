#pragma once

namespace lille::kernels {

/// What this processor can do and its operating system saves across a thread switch; one field for each set
/// of instructions that a kernel table needs.
struct CpuFeatures {
  bool avx2 = false;        ///< AVX2, BMI2, FMA and F16C
  bool avx512 = false;      ///< the above and AVX-512 F, BW, DQ, VL
  bool avx512vnni = false;  ///< the above and AVX-512 VBMI, VNNI
  bool avx512bf16 = false;  ///< the above and AVX-512 BF16
};

/// Asks the processor (CPUID, XGETBV); all false on other architectures.
CpuFeatures detect_cpu_features() noexcept;

}  // namespace lille::kernels
