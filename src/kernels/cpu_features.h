#pragma once

namespace lille::kernels {

/// What this processor can do and its operating system saves across a thread switch; one field for each set
/// of instructions that a kernel table needs.
struct CpuFeatures {
  bool avx2 = false;        ///< AVX2, BMI2, FMA and F16C
  bool avx512 = false;      ///< the above and AVX-512 F, BW, DQ, VL
  bool avx512vnni = false;  ///< the above and AVX-512 VBMI, VNNI
  bool avx512bf16 = false;  ///< the above and AVX-512 BF16
  bool neon = false;        ///< Advanced SIMD of ARMv8-A
  bool neondot = false;     ///< the above and its dot product of bytes
  bool neoni8mm = false;    ///< the above and I8MM, with products of signed and unsigned bytes
};

/// Asks an x86-64 processor (CPUID, XGETBV), or Linux about an ARM one (AT_HWCAP); all false elsewhere.
CpuFeatures detect_cpu_features() noexcept;

}  // namespace lille::kernels
