#include "kernels/cpu_features.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <type_traits>

#include "base/process.h"

namespace lille::kernels {
namespace {

#if defined(__aarch64__)

/// The four bits of a register of an ARM processor that say which form of a set it has.
uint64_t field(uint64_t id_register, int first_bit) { return id_register >> first_bit & 15; }

/// What the processor's own registers say, which Linux lets programs read.
TEST(CpuFeatures, AgreeWithTheProcessor) {
  uint64_t isar0 = 0;
  uint64_t isar1 = 0;
  uint64_t pfr0 = 0;
  asm("mrs %0, ID_AA64ISAR0_EL1" : "=r"(isar0));
  asm("mrs %0, ID_AA64ISAR1_EL1" : "=r"(isar1));
  asm("mrs %0, ID_AA64PFR0_EL1" : "=r"(pfr0));
  const CpuFeatures cpu = detect_cpu_features();
  EXPECT_EQ(cpu.neon, field(pfr0, 20) != 15);
  EXPECT_EQ(cpu.neondot, field(isar0, 44) != 0);
  EXPECT_EQ(cpu.neoni8mm, field(isar0, 44) != 0 && field(isar1, 52) != 0);
}

#else

/// What Linux, which reads the same registers on its own, says about the processor.
TEST(CpuFeatures, AgreeWithTheOperatingSystem) {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line) && !line.starts_with("flags")) {
  }
  if (line.empty()) GTEST_SKIP() << "no flags in /proc/cpuinfo";
  std::istringstream words(line);
  const std::set<std::string> flags{std::istream_iterator<std::string>(words), {}};
  const auto all = [&](std::initializer_list<const char*> names) {
    return std::all_of(names.begin(), names.end(), [&](const char* name) { return flags.contains(name); });
  };
  const CpuFeatures cpu = detect_cpu_features();
  const bool avx2 = all({"avx2", "bmi2", "fma", "f16c"});
  const bool avx512 = avx2 && all({"avx512f", "avx512bw", "avx512dq", "avx512vl"});
  const bool avx512vnni = avx512 && all({"avx512vbmi", "avx512_vnni"});
  EXPECT_EQ(cpu.avx2, avx2);
  EXPECT_EQ(cpu.avxvnni, avx2 && all({"avx_vnni"}));
  EXPECT_EQ(cpu.avx512, avx512);
  EXPECT_EQ(cpu.avx512vnni, avx512vnni);
  EXPECT_EQ(cpu.avx512bf16, avx512vnni && all({"avx512_bf16"}));
  EXPECT_EQ(cpu.amx, cpu.avx512bf16 && all({"amx_bf16", "amx_tile", "amx_int8"}) && request_tile_registers());
}

// A processor with everything, as it answers.
constexpr X86Answers kWhole = {.leaf1_c = (1u << 12) | (1u << 29),
                               .leaf7_b = (1u << 5) | (1u << 8) | (1u << 16) | (1u << 17) | (3u << 30),
                               .leaf7_c = (1u << 1) | (1u << 11),
                               .leaf7_d = (1u << 22) | (1u << 24) | (1u << 25),
                               .leaf7_1_a = (1u << 4) | (1u << 5),
                               .saved_states = 0x600e6};

bool granted() noexcept { return true; }
bool refused() noexcept { return false; }

TEST(CpuFeatures, EachBitIsNeededForWhatBuildsOnIt) {
  const CpuFeatures whole = {
      .avx2 = true, .avxvnni = true, .avx512 = true, .avx512vnni = true, .avx512bf16 = true, .amx = true};
  const auto without = [&](std::initializer_list<bool CpuFeatures::*> lost) {
    CpuFeatures features = whole;
    for (bool CpuFeatures::*field : lost) features.*field = false;
    return features;
  };
  using Cpu = CpuFeatures;
  const CpuFeatures no_amx = without({&Cpu::amx});
  const CpuFeatures no_bf16 = without({&Cpu::avx512bf16, &Cpu::amx});
  const CpuFeatures no_vnni = without({&Cpu::avx512vnni, &Cpu::avx512bf16, &Cpu::amx});
  const CpuFeatures no_avx512 = without({&Cpu::avx512, &Cpu::avx512vnni, &Cpu::avx512bf16, &Cpu::amx});
  const CpuFeatures no_avxvnni = without({&Cpu::avxvnni});
  EXPECT_EQ(features_of(kWhole, granted), whole);
  const auto expect = [](uint64_t bits, auto X86Answers::*field, const CpuFeatures& features) {
    for (uint64_t bit = 1; bit != 0; bit <<= 1) {
      if ((bits & bit) == 0) continue;
      X86Answers cpu = kWhole;
      cpu.*field = static_cast<std::decay_t<decltype(cpu.*field)> >(cpu.*field & ~bit);
      EXPECT_EQ(features_of(cpu, granted), features) << "without bit " << std::countr_zero(bit);
    }
  };
  expect(kWhole.leaf1_c, &X86Answers::leaf1_c, {});
  expect((1u << 5) | (1u << 8), &X86Answers::leaf7_b, {});
  expect((1u << 16) | (1u << 17) | (3u << 30), &X86Answers::leaf7_b, no_avx512);
  expect(kWhole.leaf7_c, &X86Answers::leaf7_c, no_vnni);
  expect(kWhole.leaf7_d, &X86Answers::leaf7_d, no_amx);
  expect(1u << 4, &X86Answers::leaf7_1_a, no_avxvnni);
  expect(1u << 5, &X86Answers::leaf7_1_a, no_bf16);
  expect(0x6, &X86Answers::saved_states, {});
  expect(0xe0, &X86Answers::saved_states, no_avx512);
  expect(0x60000, &X86Answers::saved_states, no_amx);
}

TEST(CpuFeatures, ARefusalOfTilesLeavesTheRest) {
  const CpuFeatures features = features_of(kWhole, refused);
  EXPECT_FALSE(features.amx);
  EXPECT_TRUE(features.avx512bf16);
}

TEST(CpuFeatures, TilesAreAskedForOnlyWhereTheProcessorHasThem) {
  static int n_requests;
  n_requests = 0;
  const auto count = []() noexcept {
    ++n_requests;
    return true;
  };
  X86Answers cpu = kWhole;
  cpu.leaf7_d = 0;
  features_of(cpu, count);
  EXPECT_EQ(n_requests, 0);
  features_of(kWhole, count);
  EXPECT_EQ(n_requests, 1);
}

#endif

}  // namespace
}  // namespace lille::kernels
