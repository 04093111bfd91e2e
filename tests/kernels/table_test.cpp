#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>
#include <tuple>

#include "kernels/kernel_cases.h"

namespace lille::kernels {
namespace {

TEST(Tables, NamesAreUniqueAndTablesAreWhole) {
  std::set<std::string_view> names;
  for (const KernelTable* table : all_kernel_tables()) {
    EXPECT_TRUE(names.insert(table->name).second) << table->name;
    EXPECT_NE(table->matmul_scratch_floats, nullptr);
    EXPECT_NE(table->matmul, nullptr);
    EXPECT_GT(table->bf16.x_bytes, 0);
    EXPECT_GT(table->bf16.group_rows, 0);
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

/// What a peak kernel says it did in n_rounds, and what it left in memory whose factors are `first`.
template <typename T>
std::pair<int64_t, double> run_peak(PeakKernel kernel, T first, int64_t n_rounds) {
  alignas(64) float sink[kPeakFloats];
  const auto n = static_cast<std::size_t>(kPeakFloats / 2);
  std::fill(sink + n, sink + 2 * n, 0.0f);
  for (std::size_t idx = 0; idx < n; ++idx) std::memcpy(sink + idx, &first, sizeof(first));
  const int64_t n_operations = kernel(sink, n_rounds);
  double sum = 0;
  for (std::size_t idx = 0; idx < n; ++idx) {
    T value;
    std::memcpy(&value, sink + idx, sizeof(value));
    sum += static_cast<double>(value) - static_cast<double>(first);
  }
  return {n_operations, sum};
}

using Peaks = EveryTable;

TEST_P(Peaks, TheOperationsAreDone) {
  if (table().peak_f32 == nullptr) {
    EXPECT_EQ(table().name, "reference");
    return;
  }
  for (const int64_t n_rounds : {1, 2, 1000}) {
    // Ones: each multiplication and addition adds one.
    const auto [n_f32, f32_sum] = run_peak(table().peak_f32, 1.0f, n_rounds);
    EXPECT_EQ(f32_sum, static_cast<double>(n_f32) / 2);
    for (const PeakKernel peak : {table().peak_q8, table().peak_q4}) {
      const auto once = run_peak(peak, int32_t{0x01010101}, 1);
      const auto often = run_peak(peak, int32_t{0x01010101}, n_rounds);
      EXPECT_NE(once.second, 0);
      EXPECT_EQ(often.first, n_rounds * once.first);
      EXPECT_EQ(often.second, static_cast<double>(n_rounds) * once.second);
    }
    // Two ones in bfloat16.
    const float ones = table().bf16.x_bytes == 2 ? std::bit_cast<float>(0x3f803f80) : 1.0f;
    const auto [n_bf16, bf16_sum] = run_peak(table().bf16.peak, ones, n_rounds);
    EXPECT_NEAR(bf16_sum, static_cast<double>(n_bf16) / 2, 1e-6 * static_cast<double>(n_bf16));
  }
}

LILLE_FOR_EVERY_TABLE(Peaks);

TEST(Tables, TablesHaveTheirOwnFunctions) {
  std::set<std::tuple<decltype(KernelTable::matmul), decltype(Bf16Kernels::matmul),
                      decltype(KernelTable::matmul_q8)>>
      functions;
  for (const KernelTable* table : all_kernel_tables())
    EXPECT_TRUE(functions.insert({table->matmul, table->bf16.matmul, table->matmul_q8}).second)
        << table->name;
}

}  // namespace
}  // namespace lille::kernels
