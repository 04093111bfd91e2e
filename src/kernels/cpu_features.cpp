#include "kernels/cpu_features.h"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include "base/process.h"
#endif

namespace lille::kernels {

#if defined(__x86_64__)

namespace {

struct Registers {
  uint32_t a = 0;
  uint32_t b = 0;
  uint32_t c = 0;
  uint32_t d = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf = 0) noexcept {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d);
  return r;
}

/// The register states that the operating system saves (XCR0).
uint64_t saved_states() noexcept {
  uint32_t low = 0;
  uint32_t high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}

bool all_set(uint64_t value, uint64_t bits) noexcept { return (value & bits) == bits; }

}  // namespace

CpuFeatures detect_cpu_features() noexcept {
  constexpr uint32_t kFma = 1u << 12;
  constexpr uint32_t kOsxsave = 1u << 27;
  constexpr uint32_t kF16c = 1u << 29;
  constexpr uint32_t kAvx2 = (1u << 5) | (1u << 8);                                // AVX2, BMI2
  constexpr uint32_t kAvx512 = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31);  // F, DQ, BW, VL
  constexpr uint32_t kVnni = (1u << 1) | (1u << 11);                               // VBMI, VNNI
  constexpr uint32_t kBf16 = 1u << 5;
  constexpr uint64_t kYmmState = 0x6;
  constexpr uint64_t kZmmState = 0xe6;

  CpuFeatures features;
  const uint32_t leaf1_c = cpuid(1).c;
  if (!all_set(leaf1_c, kOsxsave)) return features;
  const uint64_t states = saved_states();
  const uint32_t leaf7_b = cpuid(7).b;
  features.avx2 = all_set(states, kYmmState) && all_set(leaf1_c, kFma | kF16c) && all_set(leaf7_b, kAvx2);
  features.avx512 = features.avx2 && all_set(states, kZmmState) && all_set(leaf7_b, kAvx512);
  features.avx512vnni = features.avx512 && all_set(cpuid(7).c, kVnni);
  features.avx512bf16 = features.avx512vnni && all_set(cpuid(7, 1).a, kBf16);
  return features;
}

#elif defined(__aarch64__)

CpuFeatures detect_cpu_features() noexcept {
  constexpr uint64_t kAsimd = 1u << 1;
  constexpr uint64_t kAsimdDp = 1u << 20;
  constexpr uint64_t kI8mm = 1u << 13;

  const HardwareCapabilities capabilities = hardware_capabilities();
  CpuFeatures features;
  features.neon = (capabilities.first & kAsimd) != 0;
  features.neondot = features.neon && (capabilities.first & kAsimdDp) != 0;
  features.neoni8mm = features.neondot && (capabilities.second & kI8mm) != 0;
  return features;
}

#else

CpuFeatures detect_cpu_features() noexcept { return {}; }

#endif

}  // namespace lille::kernels
