#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "kernels/cpu_features.h"
#include "kernels/kernel_table.h"
#include "support.h"

namespace lille::kernels {
namespace {

TEST(Dispatch, TheReferenceIsLastAndAlwaysSupported) {
  EXPECT_EQ(all_kernel_tables().back()->name, "reference");
  EXPECT_EQ(supported_kernel_tables().back()->name, "reference");
}

TEST(Dispatch, NamesAreUniqueAndTablesAreWhole) {
  std::set<std::string_view> names;
  for (const KernelTable* table : all_kernel_tables()) {
    EXPECT_TRUE(names.insert(table->name).second) << table->name;
    EXPECT_NE(table->matmul_scratch_floats, nullptr);
    EXPECT_NE(table->matmul, nullptr);
    EXPECT_NE(table->dequantize_row, nullptr);
    EXPECT_NE(table->rms_norm, nullptr);
    EXPECT_NE(table->swiglu, nullptr);
    EXPECT_NE(table->add, nullptr);
    EXPECT_NE(table->attention, nullptr);
    EXPECT_NE(table->log_sum_exp, nullptr);
    EXPECT_NE(table->argmax, nullptr);
  }
}

TEST(Dispatch, ForcedTableIsTheOneThatRuns) {
  for (const KernelTable* table : supported_kernel_tables())
    EXPECT_EQ(&select_kernel_table(table->name), table);
}

TEST(Dispatch, TheBestComesWithoutAName) {
  EXPECT_EQ(&select_kernel_table(""), supported_kernel_tables().front());
}

TEST(Dispatch, TablesHaveTheirOwnFunctions) {
  std::set<void (*)(const MatmulArgs&) noexcept> functions;
  for (const KernelTable* table : all_kernel_tables()) EXPECT_TRUE(functions.insert(table->matmul).second);
}

TEST(Dispatch, UnknownNamesListWhatWouldWork) {
  for (const char* name : {"avx1024", "AVX2", " ", "reference "}) {
    test::expect_error(ErrorCode::kInvalidArgument, "reference", [&] { select_kernel_table(name); });
    test::expect_error(ErrorCode::kInvalidArgument, "expected one of", [&] { select_kernel_table(name); });
  }
  test::expect_error(ErrorCode::kInvalidArgument, "got '??x'", [] { select_kernel_table("\xff\nx"); });
  test::expect_error(ErrorCode::kInvalidArgument, "aaa...'",
                     [] { select_kernel_table(std::string(5000, 'a')); });
}

TEST(Dispatch, TablesThisMachineLacksAreRefusedByName) {
  const auto supported = supported_kernel_tables();
  for (const KernelTable* table : all_kernel_tables()) {
    if (std::find(supported.begin(), supported.end(), table) != supported.end()) continue;
    test::expect_error(ErrorCode::kUnsupported, "reference", [&] { select_kernel_table(table->name); });
  }
}

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
  EXPECT_EQ(cpu.avx2, all({"avx2", "fma", "f16c"}));
  EXPECT_EQ(cpu.avx512, all({"avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl"}));
}

}  // namespace
}  // namespace lille::kernels
