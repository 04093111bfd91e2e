#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "kernels/kernel_table.h"
#include "support.h"

namespace lille::kernels {
namespace {

TEST(Dispatch, TheReferenceIsLastAndAlwaysSupported) {
  EXPECT_EQ(all_kernel_tables().back()->name, "reference");
  EXPECT_EQ(supported_kernel_tables().back()->name, "reference");
}

TEST(Dispatch, ForcedTableIsTheOneThatRuns) {
  for (const KernelTable* table : supported_kernel_tables())
    EXPECT_EQ(&select_kernel_table(table->name), table);
}

TEST(Dispatch, TheBestComesWithoutAName) {
  EXPECT_EQ(&select_kernel_table(""), supported_kernel_tables().front());
}

TEST(Dispatch, UnknownNamesListWhatWouldWork) {
  for (const char* name : {"avx1024", "AVX2", " ", "reference "}) {
    test::expect_error(ErrorCode::kInvalidArgument, "reference", [&] { select_kernel_table(name); });
    test::expect_error(ErrorCode::kInvalidArgument, "expected one of", [&] { select_kernel_table(name); });
  }
  test::expect_error(ErrorCode::kInvalidArgument, "got '\\xff\\x0ax'",
                     [] { select_kernel_table("\xff\nx"); });
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

}  // namespace
}  // namespace lille::kernels
