#pragma once

#include <cstdint>

namespace lille::kernels {

/// What this processor can do and its operating system saves across a thread switch; one field for each set
/// of instructions that a kernel table needs.
struct CpuFeatures {
  bool avx2 = false;        ///< AVX2, BMI2, FMA and F16C
  bool avxvnni = false;     ///< avx2 and AVX-VNNI
  bool avx512 = false;      ///< avx2 and AVX-512 F, BW, DQ, VL
  bool avx512vnni = false;  ///< avx512 and AVX-512 VBMI, VNNI
  bool avx512bf16 = false;  ///< avx512vnni and AVX-512 BF16
  bool amx = false;         ///< avx512bf16 and AMX TILE, INT8, BF16, which the system lets this process use
  bool neon = false;        ///< Advanced SIMD of ARMv8-A
  bool neondot = false;     ///< the above and its dot product of bytes
  bool neoni8mm = false;    ///< the above and I8MM, with products of signed and unsigned bytes

  bool operator==(const CpuFeatures&) const = default;
};

/// What an x86-64 processor answers about itself.
struct X86Answers {
  uint32_t leaf1_c = 0;       ///< CPUID 1, ECX
  uint32_t leaf7_b = 0;       ///< CPUID 7.0, EBX
  uint32_t leaf7_c = 0;       ///< CPUID 7.0, ECX
  uint32_t leaf7_d = 0;       ///< CPUID 7.0, EDX
  uint32_t leaf7_1_a = 0;     ///< CPUID 7.1, EAX
  uint64_t saved_states = 0;  ///< XCR0, the register states that the system saves; 0 without OSXSAVE.
};

/// What the answers mean. Tile registers must be asked for besides: request_tiles is called only where
/// everything else that AMX needs is there, and false means that there is no AMX.
CpuFeatures features_of(const X86Answers& cpu, bool (*request_tiles)() noexcept) noexcept;

/// Asks an x86-64 processor (CPUID, XGETBV) and, for AMX's tile registers, the system
/// (request_tile_registers), or Linux about an ARM one (AT_HWCAP); all false elsewhere.
CpuFeatures detect_cpu_features() noexcept;

}  // namespace lille::kernels
