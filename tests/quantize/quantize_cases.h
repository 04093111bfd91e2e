#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "kernels/kernel_table.h"
#include "kernels/weight_kind.h"
#include "support.h"

namespace lille::test {

inline std::vector<float> floats_of(const TensorView& view) {
  std::vector<float> values(static_cast<std::size_t>(view.n_elements()));
  std::memcpy(values.data(), view.bytes.data(), view.bytes.size());
  return values;
}

inline kernels::WeightMatrix f32_matrix(const std::vector<float>& values, int64_t n_in) {
  return {.kind = kernels::WeightKind::kF32,
          .data = values.data(),
          .n_out = static_cast<int64_t>(values.size()) / n_in,
          .n_in = n_in};
}

/// The matrix as float32, by the reference kernel.
inline std::vector<float> dequantize(const kernels::WeightMatrix& matrix) {
  std::vector<float> values(static_cast<std::size_t>(matrix.n_out * matrix.n_in));
  for (int64_t row_idx = 0; row_idx < matrix.n_out; ++row_idx)
    kernels::all_kernel_tables().back()->dequantize_row(values.data() + row_idx * matrix.n_in, matrix,
                                                        row_idx);
  return values;
}

inline void expect_same_bytes(std::span<const std::byte> actual, std::span<const std::byte> expected,
                              const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (std::size_t idx = 0; idx < actual.size(); ++idx)
    ASSERT_EQ(actual[idx], expected[idx]) << what << ": byte " << idx;
}

inline std::vector<float> normal_floats(std::size_t n, uint32_t seed, float scale) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

}  // namespace lille::test
