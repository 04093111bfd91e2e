#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "kernels/kernel_table.h"

namespace lille::kernels {

/// Tests that run once for each table that this machine supports, the reference included.
class EveryTable : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& table() const { return *GetParam(); }
};

inline std::string table_name(const ::testing::TestParamInfo<const KernelTable*>& info) {
  return std::string(info.param->name);
}

#define LILLE_FOR_EVERY_TABLE(suite) \
  INSTANTIATE_TEST_SUITE_P(Tables, suite, ::testing::ValuesIn(supported_kernel_tables()), table_name)

inline const KernelTable& reference_table() { return *all_kernel_tables().back(); }

/// Unit roundoff of float32.
inline constexpr double kRoundoff = 0x1p-24;

/// Repeatable values around 0, of widely different size.
inline std::vector<float> random_floats(std::size_t n, uint32_t seed, float scale = 1.0f) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

/// Bytes that begin at an odd address, as tensors in a file may, at the very end of an allocation: a read
/// past them is one that the address sanitizer reports.
class OddBytes {
 public:
  OddBytes() = default;
  explicit OddBytes(std::size_t n_bytes) : bytes_(n_bytes + 1) {}
  std::byte* data() { return bytes_.data() + 1; }

 private:
  std::vector<std::byte> bytes_;
};

inline OddBytes encode_floats(const std::vector<float>& values, FloatKind kind) {
  const std::size_t n_bytes = kind == FloatKind::kF32 ? 4 : 2;
  OddBytes encoded(values.size() * n_bytes);
  for (std::size_t idx = 0; idx < values.size(); ++idx) {
    const uint16_t half = kind == FloatKind::kF16 ? f32_to_f16(values[idx]) : f32_to_bf16(values[idx]);
    const void* from = kind == FloatKind::kF32 ? static_cast<const void*>(&values[idx]) : &half;
    std::memcpy(encoded.data() + idx * n_bytes, from, n_bytes);
  }
  return encoded;
}

/// How a matrix of a test is stored.
struct Storage {
  WeightKind kind = WeightKind::kF32;
  FloatKind scale_kind = FloatKind::kF32;
  int64_t group_size = 0;
};

/// A random matrix at odd addresses.
struct OddMatrix {
  OddBytes data;
  OddBytes scales;
  OddBytes biases;
  WeightMatrix view;
};

inline OddMatrix random_matrix(const Storage& storage, int64_t n_out, int64_t n_in, uint32_t seed) {
  OddMatrix matrix;
  const auto n_weights = static_cast<std::size_t>(n_out * n_in);
  if (storage.kind == WeightKind::kQ8) {
    const std::size_t n_groups = n_weights / static_cast<std::size_t>(storage.group_size);
    std::mt19937 random(seed);
    matrix.data = OddBytes(n_weights);
    for (std::size_t idx = 0; idx < n_weights; ++idx)
      matrix.data.data()[idx] = static_cast<std::byte>(random());
    matrix.scales = encode_floats(random_floats(n_groups, seed + 1, 0.01f), storage.scale_kind);
    matrix.biases = encode_floats(random_floats(n_groups, seed + 2), storage.scale_kind);
  } else {
    const FloatKind kind = storage.kind == WeightKind::kF32   ? FloatKind::kF32
                           : storage.kind == WeightKind::kF16 ? FloatKind::kF16
                                                              : FloatKind::kBF16;
    matrix.data = encode_floats(random_floats(n_weights, seed), kind);
  }
  matrix.view = {.kind = storage.kind,
                 .data = matrix.data.data(),
                 .n_out = n_out,
                 .n_in = n_in,
                 .scales = storage.kind == WeightKind::kQ8 ? matrix.scales.data() : nullptr,
                 .biases = storage.kind == WeightKind::kQ8 ? matrix.biases.data() : nullptr,
                 .scale_kind = storage.scale_kind,
                 .group_size = storage.group_size};
  return matrix;
}

/// Expects the same bits, NaN included.
inline void expect_same_bits(const std::vector<float>& actual, const std::vector<float>& expected,
                             const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (std::size_t idx = 0; idx < actual.size(); ++idx)
    ASSERT_EQ(std::bit_cast<uint32_t>(actual[idx]), std::bit_cast<uint32_t>(expected[idx]))
        << what << ": element " << idx << " is " << actual[idx] << ", expected " << expected[idx];
}

}  // namespace lille::kernels
