#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/dtype.h"
#include "kernels/kernel_table.h"
#include "kernels/weight_kind.h"

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

inline double norm(const float* values, int64_t n) {
  double sum = 0;
  for (int64_t idx = 0; idx < n; ++idx) sum += double{values[idx]} * double{values[idx]};
  return std::sqrt(sum);
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

/// Rows that a table rounded to bfloat16. What it leaves out is NaN; their end is the end of an allocation.
class RoundedRows {
 public:
  RoundedRows(const Bf16Kernels& kernels, const float* x, int64_t x_stride, int64_t n_rows, int64_t n_in)
      : stride_((n_in + kBf16Padding - 1) / kBf16Padding * kBf16Padding),
        bytes_(static_cast<std::size_t>(n_rows * stride_ * kernels.x_bytes)) {
    std::memset(bytes_.data(), 0xff, bytes_.size());
    for (int64_t row = 0; row < n_rows; row += kernels.group_rows)
      kernels.round(bytes_.data() + row * stride_ * kernels.x_bytes, stride_, x + row * x_stride, x_stride,
                    std::min(kernels.group_rows, n_rows - row), n_in);
  }

  const void* data() const { return bytes_.data(); }
  int64_t stride() const { return stride_; }
  std::span<const std::byte> bytes() const { return bytes_.span(); }

 private:
  int64_t stride_;
  AlignedBuffer<std::byte> bytes_;
};

/// How a matrix of a test is stored; the last three for kAffine and kPacked only.
struct Storage {
  WeightKind kind = WeightKind::kF32;
  FloatKind scale_kind = FloatKind::kF32;
  int64_t group_size = 0;
  int64_t bits = 8;
};

inline constexpr WeightKind kBlockKinds[] = {WeightKind::kQ8_0, WeightKind::kQ4_0, WeightKind::kQ4_1,
                                             WeightKind::kQ5_0, WeightKind::kQ5_1, WeightKind::kQ4_K,
                                             WeightKind::kQ5_K, WeightKind::kQ6_K};

/// MLX's sizes of a code.
inline constexpr int64_t kAffineBits[] = {2, 3, 4, 5, 6, 8};

inline std::string storage_text(const Storage& storage) {
  std::string text(weight_kind_name(storage.kind));
  if (storage.group_size != 0)
    text += " bits " + std::to_string(storage.bits) + " group " + std::to_string(storage.group_size) +
            " scales " + std::to_string(static_cast<int>(storage.scale_kind));
  return text;
}

/// Every way of packing.
inline std::vector<Storage> packed_storages() {
  std::vector<Storage> storages;
  for (const int64_t bits : {4, 8})
    for (const FloatKind scale_kind : {FloatKind::kF32, FloatKind::kF16, FloatKind::kBF16})
      for (const int64_t group_size : {32, 64, 128})
        storages.push_back({WeightKind::kPacked, scale_kind, group_size, bits});
  return storages;
}

/// Whether rows of n_in can be stored so.
inline bool fits(const Storage& storage, int64_t n_in) {
  return n_in % (storage.group_size != 0 ? storage.group_size : block_weights(storage.kind)) == 0;
}

/// A random matrix at odd addresses.
struct OddMatrix {
  OddBytes data;
  OddBytes scales;
  OddBytes biases;
  WeightMatrix view;
};

inline OddBytes random_bytes(std::size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  OddBytes bytes(n);
  for (std::size_t idx = 0; idx < n; ++idx) bytes.data()[idx] = static_cast<std::byte>(random());
  return bytes;
}

/// Random codes, small scales; the F16 fields of a block hold finite numbers of either sign.
inline OddBytes random_blocks(WeightKind kind, int64_t n_weights, uint32_t seed) {
  const auto n_blocks = static_cast<std::size_t>(n_weights / block_weights(kind));
  const auto n_bytes = static_cast<std::size_t>(block_bytes(kind));
  OddBytes blocks = random_bytes(n_blocks * n_bytes, seed);
  const std::vector<float> floats = random_floats(2 * n_blocks, seed + 1, 0.01f);
  const bool has_bias = kind == WeightKind::kQ4_1 || kind == WeightKind::kQ5_1 || kind == WeightKind::kQ4_K ||
                        kind == WeightKind::kQ5_K;
  const std::size_t at = kind == WeightKind::kQ6_K ? n_bytes - 2 : 0;
  for (std::size_t idx = 0; idx < n_blocks; ++idx)
    for (std::size_t field = 0; field < (has_bias ? 2 : 1); ++field) {
      const uint16_t half = f32_to_f16(floats[2 * idx + field]);
      std::memcpy(blocks.data() + idx * n_bytes + at + 2 * field, &half, 2);
    }
  return blocks;
}

/// Random codes, small scales and biases, panel by panel.
inline OddBytes random_panels(const WeightMatrix& view, uint32_t seed) {
  const int64_t n_panels = (view.n_out + kPackedOuts - 1) / kPackedOuts;
  const int64_t n_groups = n_panels * (view.n_in / view.group_size);
  OddBytes panels = random_bytes(static_cast<std::size_t>(n_panels * packed_panel_bytes(view)), seed);
  OddBytes floats = encode_floats(
      random_floats(static_cast<std::size_t>(2 * kPackedOuts * n_groups), seed + 1, 0.01f), view.scale_kind);
  const auto float_part = static_cast<std::size_t>(2 * kPackedOuts * float_bytes(view.scale_kind));
  const auto group_bytes = static_cast<std::size_t>(packed_group_bytes(view));
  for (std::size_t group = 0; group < static_cast<std::size_t>(n_groups); ++group)
    std::memcpy(panels.data() + (group + 1) * group_bytes - float_part, floats.data() + group * float_part,
                float_part);
  return panels;
}

inline OddMatrix random_matrix(const Storage& storage, int64_t n_out, int64_t n_in, uint32_t seed) {
  OddMatrix matrix;
  matrix.view = {.kind = storage.kind,
                 .data = nullptr,
                 .n_out = n_out,
                 .n_in = n_in,
                 .bits = storage.bits,
                 .scales = nullptr,
                 .biases = nullptr,
                 .scale_kind = storage.scale_kind,
                 .group_size = storage.group_size};
  const auto n_weights = static_cast<std::size_t>(n_out * n_in);
  if (storage.kind == WeightKind::kAffine) {
    const std::size_t n_groups = n_weights / static_cast<std::size_t>(storage.group_size);
    matrix.data = random_bytes(static_cast<std::size_t>(n_out * row_bytes(matrix.view)), seed);
    matrix.scales = encode_floats(random_floats(n_groups, seed + 1, 0.01f), storage.scale_kind);
    matrix.biases = encode_floats(random_floats(n_groups, seed + 2), storage.scale_kind);
    matrix.view.scales = matrix.scales.data();
    matrix.view.biases = matrix.biases.data();
  } else if (storage.kind == WeightKind::kPacked) {
    matrix.data = random_panels(matrix.view, seed);
  } else if (is_block_kind(storage.kind)) {
    matrix.data = random_blocks(storage.kind, n_out * n_in, seed);
  } else {
    const FloatKind kind = storage.kind == WeightKind::kF32   ? FloatKind::kF32
                           : storage.kind == WeightKind::kF16 ? FloatKind::kF16
                                                              : FloatKind::kBF16;
    matrix.data = encode_floats(random_floats(n_weights, seed), kind);
  }
  matrix.view.data = matrix.data.data();
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
