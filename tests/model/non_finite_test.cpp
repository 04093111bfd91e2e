#include "model/non_finite.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string_view>
#include <vector>

namespace lille {
namespace {

template <typename Bits>
std::size_t n_warnings(DType dtype, std::vector<Bits> bits) {
  const ParameterSpec spec = {"transformer.norm",
                              ParameterKind::kNorm,
                              ParameterPart::kNorms,
                              {static_cast<int64_t>(bits.size())},
                              {}};
  // One byte off, as tensors in files may be.
  std::vector<std::byte> bytes(1 + bits.size() * sizeof(Bits));
  std::memcpy(bytes.data() + 1, bits.data(), bits.size() * sizeof(Bits));
  const TensorView view = {"norm.weight", dtype, spec.shape, std::span(bytes).subspan(1), "file"};
  const Parameter parameter = {&spec, {{&view, nullptr, nullptr}}};
  ThreadPool pool(1);
  std::size_t n = 0;
  warn_of_non_finite(pool, std::span(&parameter, 1), [&n](std::string_view text) {
    EXPECT_NE(text.find("norm.weight contains NaN"), std::string_view::npos);
    ++n;
  });
  return n;
}

TEST(WarnOfNonFinite, EveryFloatKind) {
  EXPECT_EQ(n_warnings<uint32_t>(DType::kF32, {0x3f800000, 0xff7fffff, 0x80000000}), 0u);
  EXPECT_EQ(n_warnings<uint32_t>(DType::kF32, {0x3f800000, 0x7fc00000}), 1u);
  EXPECT_EQ(n_warnings<uint32_t>(DType::kF32, {0xff800000}), 1u);
  EXPECT_EQ(n_warnings<uint16_t>(DType::kBF16, {0x3f80, 0xff7f}), 0u);
  EXPECT_EQ(n_warnings<uint16_t>(DType::kBF16, {0x3f80, 0xffc0}), 1u);
  EXPECT_EQ(n_warnings<uint16_t>(DType::kF16, {0x3c00, 0xfbff}), 0u);
  EXPECT_EQ(n_warnings<uint16_t>(DType::kF16, {0x7e00}), 1u);
}

// Two groups of a panel of 8 bits: 512 bytes of codes, 16 scales and 16 biases in F16 each.
TEST(WarnOfNonFinite, ScalesAndBiasesInPanels) {
  constexpr std::size_t kGroupBytes = 512 + 64;
  const ParameterSpec spec = {"x", ParameterKind::kMatrix, ParameterPart::kAttention, {16, 64}, {}};
  const auto n_warnings_at = [&](std::size_t offset) {
    // Codes of all ones are no fault, and 0x0101 is a finite half.
    std::vector<std::byte> bytes(2 * kGroupBytes, std::byte{0xff});
    for (const std::size_t begin : {std::size_t{512}, kGroupBytes + 512})
      std::memset(bytes.data() + begin, 1, 64);
    const uint16_t infinity = 0x7c00;
    if (offset < bytes.size()) std::memcpy(bytes.data() + offset, &infinity, sizeof(infinity));
    const TensorView view = {"x.weight", DType::kU8, {1, 2 * kGroupBytes}, bytes, "file"};
    StoredTensor tensor = {&view};
    tensor.quantization = LayerQuantization{.group_size = 32, .bits = 8};
    tensor.packed_scales = DType::kF16;
    const Parameter parameter = {&spec, {tensor}};
    ThreadPool pool(1);
    int n = 0;
    warn_of_non_finite(pool, std::span(&parameter, 1), [&n](std::string_view) { ++n; });
    return n;
  };
  EXPECT_EQ(n_warnings_at(2 * kGroupBytes), 0);
  EXPECT_EQ(n_warnings_at(0), 0);
  for (const std::size_t offset : {std::size_t{512}, kGroupBytes - 2, kGroupBytes + 512, 2 * kGroupBytes - 2})
    EXPECT_EQ(n_warnings_at(offset), 1) << offset;
}

// One block of each type, then one with the half at `offset` changed.
TEST(WarnOfNonFinite, ScalesAndMinimaOfBlocks) {
  struct Row {
    DType dtype;
    std::vector<std::size_t> offsets;
  };
  for (const Row& row : std::vector<Row>{{DType::kQ8_0, {0}},
                                         {DType::kQ4_0, {0}},
                                         {DType::kQ4_1, {0, 2}},
                                         {DType::kQ5_0, {0}},
                                         {DType::kQ5_1, {0, 2}},
                                         {DType::kQ4_K, {0, 2}},
                                         {DType::kQ5_K, {0, 2}},
                                         {DType::kQ6_K, {208}}}) {
    const auto n_halves = static_cast<std::size_t>(dtype_bytes(row.dtype)) / 2;
    // Codes of all ones are no fault.
    std::vector<uint16_t> good(2 * n_halves, 0xffff);
    for (const std::size_t offset : row.offsets)
      for (const std::size_t block : {0, 1}) good[block * n_halves + offset / 2] = 0xfbff;
    EXPECT_EQ(n_warnings(row.dtype, good), 0u) << dtype_name(row.dtype);
    for (const std::size_t offset : row.offsets)
      for (const uint16_t bits : {0x7c00, 0xfc00, 0x7e00}) {
        std::vector<uint16_t> bad = good;
        bad[n_halves + offset / 2] = bits;
        EXPECT_EQ(n_warnings(row.dtype, bad), 1u) << dtype_name(row.dtype);
      }
  }
}

}  // namespace
}  // namespace lille
