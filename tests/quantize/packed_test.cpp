#include "quantize/packed.h"

#include <gtest/gtest.h>

#include "kernels/kernel_cases.h"

namespace lille {
namespace {

using kernels::FloatKind;
using kernels::OddMatrix;
using kernels::WeightKind;
using kernels::WeightMatrix;

std::vector<std::byte> bytes_of(const void* data, int64_t n_bytes) {
  const auto* bytes = static_cast<const std::byte*>(data);
  return {bytes, bytes + n_bytes};
}

// 35 rows leave a panel that is not full.
TEST(Packed, PanelsHoldTheSameWeightsAndComeBack) {
  for (const int64_t bits : {4, 8})
    for (const FloatKind scale_kind : {FloatKind::kF32, FloatKind::kF16, FloatKind::kBF16})
      for (const int64_t group_size : {32, 64, 128}) {
        const OddMatrix affine =
            kernels::random_matrix({WeightKind::kAffine, scale_kind, group_size, bits}, 35, 256, 7);
        const std::vector<std::byte> panels = pack_affine(affine.view);
        WeightMatrix packed = affine.view;
        packed.kind = WeightKind::kPacked;
        packed.data = panels.data();
        packed.scales = packed.biases = nullptr;
        ASSERT_EQ(static_cast<int64_t>(panels.size()), 3 * kernels::packed_panel_bytes(packed));

        std::vector<float> expected(256);
        std::vector<float> actual(256);
        for (int64_t row = 0; row < 35; ++row) {
          kernels::reference_table().dequantize_row(expected.data(), affine.view, row);
          kernels::reference_table().dequantize_row(actual.data(), packed, row);
          kernels::expect_same_bits(actual, expected, "row " + std::to_string(row));
        }

        const AffineMatrix back = unpack_affine(packed);
        const int64_t n_float_bytes = 35 * (256 / group_size) * kernels::float_bytes(scale_kind);
        EXPECT_EQ(back.codes, bytes_of(affine.view.data, 35 * 256 * bits / 8));
        EXPECT_EQ(back.scales, bytes_of(affine.view.scales, n_float_bytes));
        EXPECT_EQ(back.biases, bytes_of(affine.view.biases, n_float_bytes));
      }
}

TEST(Packed, OnlyCodesOf4And8Bits) {
  for (int64_t bits = 1; bits <= 8; ++bits) EXPECT_EQ(can_pack(bits), bits == 4 || bits == 8);
}

}  // namespace
}  // namespace lille
