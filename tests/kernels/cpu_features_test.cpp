#include "kernels/cpu_features.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>

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
  EXPECT_EQ(cpu.avx2, avx2);
  EXPECT_EQ(cpu.avx512, avx512);
  EXPECT_EQ(cpu.avx512vnni, avx512 && all({"avx512vbmi", "avx512_vnni"}));
  EXPECT_EQ(cpu.avx512bf16, cpu.avx512vnni && all({"avx512_bf16"}));
}

#endif

}  // namespace
}  // namespace lille::kernels
