#include "kernels/cpu_features.h"

#include "base/process.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace lille::kernels {
namespace {

bool all_set(uint64_t value, uint64_t bits) noexcept { return (value & bits) == bits; }

}  // namespace

CpuFeatures features_of(const X86Answers& cpu, bool (*request_tiles)() noexcept) noexcept {
  constexpr uint32_t kFma = 1u << 12;
  constexpr uint32_t kF16c = 1u << 29;
  constexpr uint32_t kAvx2 = (1u << 5) | (1u << 8);                                // AVX2, BMI2
  constexpr uint32_t kAvx512 = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31);  // F, DQ, BW, VL
  constexpr uint32_t kAvx512Vnni = (1u << 1) | (1u << 11);                         // VBMI, VNNI
  constexpr uint32_t kAvxVnni = 1u << 4;
  constexpr uint32_t kAvx512Bf16 = 1u << 5;
  constexpr uint32_t kAmx = (1u << 22) | (1u << 24) | (1u << 25);  // BF16, TILE, INT8
  constexpr uint64_t kYmmState = 0x6;
  constexpr uint64_t kZmmState = 0xe6;
  constexpr uint64_t kTileStates = 0x60000;  // the configuration and the tiles

  CpuFeatures features;
  features.avx2 = all_set(cpu.saved_states, kYmmState) && all_set(cpu.leaf1_c, kFma | kF16c) &&
                  all_set(cpu.leaf7_b, kAvx2);
  features.avxvnni = features.avx2 && all_set(cpu.leaf7_1_a, kAvxVnni);
  features.avx512 = features.avx2 && all_set(cpu.saved_states, kZmmState) && all_set(cpu.leaf7_b, kAvx512);
  features.avx512vnni = features.avx512 && all_set(cpu.leaf7_c, kAvx512Vnni);
  features.avx512bf16 = features.avx512vnni && all_set(cpu.leaf7_1_a, kAvx512Bf16);
  features.amx = features.avx512bf16 && all_set(cpu.leaf7_d, kAmx) &&
                 all_set(cpu.saved_states, kTileStates) && request_tiles();
  return features;
}

#if defined(__x86_64__)

namespace {

struct Registers {
  uint32_t a = 0;
  uint32_t b = 0;
  uint32_t c = 0;
  uint32_t d = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) noexcept {
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

}  // namespace

CpuFeatures detect_cpu_features() noexcept {
  constexpr uint32_t kOsxsave = 1u << 27;
  const Registers leaf1 = cpuid(1, 0);
  const Registers leaf7 = cpuid(7, 0);
  X86Answers cpu{.leaf1_c = leaf1.c, .leaf7_b = leaf7.b, .leaf7_c = leaf7.c, .leaf7_d = leaf7.d};
  // EAX of leaf 7 is its last subleaf.
  if (leaf7.a >= 1) cpu.leaf7_1_a = cpuid(7, 1).a;
  if (all_set(cpu.leaf1_c, kOsxsave)) cpu.saved_states = saved_states();
  return features_of(cpu, request_tile_registers);
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
