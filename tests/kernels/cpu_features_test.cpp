#include "kernels/cpu_features.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>

namespace lille::kernels {
namespace {

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

}  // namespace
}  // namespace lille::kernels
