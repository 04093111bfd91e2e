#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "io/safetensors.h"
#include "ops/device.h"
#include "support.h"

namespace lille::ops {

/// Tests that run once for each table of kernels that this machine supports.
class EveryTable : public ::testing::TestWithParam<const kernels::KernelTable*> {
 protected:
  const kernels::KernelTable& table() const { return *GetParam(); }
};

inline std::string table_name(const ::testing::TestParamInfo<const kernels::KernelTable*>& info) {
  return std::string(info.param->name);
}

#define LILLE_FOR_EVERY_TABLE(suite) \
  INSTANTIATE_TEST_SUITE_P(Tables, suite, ::testing::ValuesIn(kernels::supported_kernel_tables()), table_name)

/// A device with a pool of its own.
struct OwnDevice {
  explicit OwnDevice(const kernels::KernelTable& table, int64_t n_threads = 2)
      : pool(n_threads), device{table, pool, {}} {}

  ThreadPool pool;
  Device device;
};

/// The table the program would choose; for tests of what does not depend on it.
inline const kernels::KernelTable& best_table() { return kernels::select_kernel_table(""); }

inline std::vector<float> random_floats(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& value : values) value = normal(random);
  return values;
}

/// A view of rows without gaps.
inline Rows rows_of(std::vector<float>& values, int64_t n_rows, int64_t n_cols) {
  return {values.data(), n_rows, n_cols, n_cols};
}

/// A tensor of F32 or BF16 as float32.
inline std::vector<float> floats_of(const TensorView& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.n_elements()));
  for (std::size_t idx = 0; idx < values.size(); ++idx)
    values[idx] = tensor.dtype == DType::kBF16
                      ? bf16_to_f32(load_unaligned<uint16_t>(tensor.bytes.data() + 2 * idx))
                      : load_unaligned<float>(tensor.bytes.data() + 4 * idx);
  return values;
}

inline const SafetensorsFile& golden_ops() {
  static const SafetensorsFile file(test::source_path("tests/golden/mlx/ops/ops.safetensors"));
  return file;
}

/// Expects |actual - expected| <= absolute + relative * |expected|.
inline void expect_near(const std::vector<float>& actual, const std::vector<float>& expected, double absolute,
                        double relative, const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (std::size_t idx = 0; idx < actual.size(); ++idx)
    ASSERT_NEAR(actual[idx], expected[idx], absolute + relative * std::abs(expected[idx]))
        << what << ": element " << idx;
}

inline void expect_same_bits(const std::vector<float>& actual, const std::vector<float>& expected,
                             const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  ASSERT_EQ(std::memcmp(actual.data(), expected.data(), actual.size() * sizeof(float)), 0) << what;
}

/// What `compute` gives must not depend on the number of threads.
inline std::vector<float> expect_same_for_any_threads(
    const kernels::KernelTable& table, const std::function<std::vector<float>(Device&)>& compute) {
  OwnDevice alone(table, 1);
  const std::vector<float> expected = compute(alone.device);
  for (const int64_t n_threads : {2, 3, 7}) {
    OwnDevice several(table, n_threads);
    expect_same_bits(compute(several.device), expected, std::to_string(n_threads) + " threads");
  }
  return expected;
}

}  // namespace lille::ops
