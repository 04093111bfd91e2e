#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "kernels/kernel_table.h"

namespace lille::kernels {
namespace {

TEST(Tables, NamesAreUniqueAndTablesAreWhole) {
  std::set<std::string_view> names;
  for (const KernelTable* table : all_kernel_tables()) {
    EXPECT_TRUE(names.insert(table->name).second) << table->name;
    EXPECT_NE(table->matmul_scratch_floats, nullptr);
    EXPECT_NE(table->matmul, nullptr);
    EXPECT_GT(table->bf16.x_bytes, 0);
    EXPECT_NE(table->bf16.round, nullptr);
    EXPECT_NE(table->bf16.matmul, nullptr);
    EXPECT_NE(table->quantize_q8, nullptr);
    EXPECT_NE(table->matmul_q8_scratch_floats, nullptr);
    EXPECT_NE(table->matmul_q8, nullptr);
    EXPECT_NE(table->dequantize_row, nullptr);
    EXPECT_NE(table->rms_norm, nullptr);
    EXPECT_NE(table->swiglu, nullptr);
    EXPECT_NE(table->add, nullptr);
    EXPECT_NE(table->attention, nullptr);
    EXPECT_NE(table->log_sum_exp, nullptr);
    EXPECT_NE(table->argmax, nullptr);
  }
}

TEST(Tables, TablesHaveTheirOwnFunctions) {
  std::set<std::pair<decltype(KernelTable::matmul), decltype(Bf16Kernels::matmul)>> functions;
  for (const KernelTable* table : all_kernel_tables())
    EXPECT_TRUE(functions.insert({table->matmul, table->bf16.matmul}).second) << table->name;
}

}  // namespace
}  // namespace lille::kernels
