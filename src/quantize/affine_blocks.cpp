#include "quantize/affine_blocks.h"

#include <array>

#include "base/check.h"
#include "kernels/weight_kind.h"
#include "quantize/affine_codes.h"
#include "quantize/rows.h"

namespace lille {
namespace {

using kernels::FloatKind;
using kernels::WeightKind;

/// weight = scale * code + bias.
struct Group {
  float scale = 0;
  float bias = 0;
  std::array<uint8_t, kBlockGroupSize> codes = {};
};

float read_f16(const uint8_t (&bytes)[2]) noexcept { return f16_to_f32(load_unaligned<uint16_t>(bytes)); }

/// Four bits of each code, as Q4_0, Q4_1, Q5_0 and Q5_1 store them.
void read_low_bits(Group& group, const uint8_t (&bytes)[16]) noexcept {
  for (std::size_t idx = 0; idx < 16; ++idx) {
    group.codes[idx] = bytes[idx] & 15;
    group.codes[idx + 16] = bytes[idx] >> 4;
  }
}

void read_fifth_bits(Group& group, const uint8_t (&bytes)[4]) noexcept {
  const auto bits = load_unaligned<uint32_t>(bytes);
  for (std::size_t idx = 0; idx < group.codes.size(); ++idx)
    group.codes[idx] = static_cast<uint8_t>(group.codes[idx] | ((bits >> idx & 1) << 4));
}

Group group_of(const kernels::BlockQ8_0& block, int64_t) noexcept {
  Group group = {read_f16(block.scale), -128 * read_f16(block.scale), {}};
  for (std::size_t idx = 0; idx < group.codes.size(); ++idx)
    group.codes[idx] = static_cast<uint8_t>(block.codes[idx] + 128);
  return group;
}

Group group_of(const kernels::BlockQ4_0& block, int64_t) noexcept {
  Group group = {read_f16(block.scale), -8 * read_f16(block.scale), {}};
  read_low_bits(group, block.codes);
  return group;
}

Group group_of(const kernels::BlockQ4_1& block, int64_t) noexcept {
  Group group = {read_f16(block.scale), read_f16(block.bias), {}};
  read_low_bits(group, block.codes);
  return group;
}

Group group_of(const kernels::BlockQ5_0& block, int64_t) noexcept {
  Group group = {read_f16(block.scale), -16 * read_f16(block.scale), {}};
  read_low_bits(group, block.codes);
  read_fifth_bits(group, block.high_bits);
  return group;
}

Group group_of(const kernels::BlockQ5_1& block, int64_t) noexcept {
  Group group = {read_f16(block.scale), read_f16(block.bias), {}};
  read_low_bits(group, block.codes);
  read_fifth_bits(group, block.high_bits);
  return group;
}

/// Scale, bias and the low four bits of a sub-block of Q4_K or Q5_K.
template <typename Block>
Group sub_group_of(const Block& block, int64_t sub_idx) noexcept {
  const auto scale = static_cast<float>(kernels::sub_scale(block.scales_and_mins, sub_idx));
  const auto min = static_cast<float>(kernels::sub_min(block.scales_and_mins, sub_idx));
  Group group = {read_f16(block.scale) * scale, -(read_f16(block.min_scale) * min), {}};
  const uint8_t* bytes = block.codes + sub_idx / 2 * kBlockGroupSize;
  for (std::size_t idx = 0; idx < group.codes.size(); ++idx)
    group.codes[idx] = static_cast<uint8_t>(sub_idx % 2 == 0 ? bytes[idx] & 15 : bytes[idx] >> 4);
  return group;
}

Group group_of(const kernels::BlockQ4_K& block, int64_t sub_idx) noexcept {
  return sub_group_of(block, sub_idx);
}

Group group_of(const kernels::BlockQ5_K& block, int64_t sub_idx) noexcept {
  Group group = sub_group_of(block, sub_idx);
  for (std::size_t idx = 0; idx < group.codes.size(); ++idx)
    group.codes[idx] = static_cast<uint8_t>(group.codes[idx] | ((block.high_bits[idx] >> sub_idx & 1) << 4));
  return group;
}

template <typename Block>
Group group_in_row(const std::byte* row, int64_t group_idx, int64_t block_weights) noexcept {
  const int64_t n_subs = block_weights / kBlockGroupSize;
  const auto* blocks = reinterpret_cast<const Block*>(row);
  return group_of(blocks[group_idx / n_subs], group_idx % n_subs);
}

/// How the blocks of a kind become codes.
struct KindRow {
  WeightKind kind;
  int64_t bits;
  FloatKind scale_kind;
  Group (*group_in_row)(const std::byte* row, int64_t group_idx, int64_t block_weights) noexcept;
};

constexpr std::array<KindRow, 7> kKinds = {
    {{WeightKind::kQ8_0, 8, FloatKind::kF16, group_in_row<kernels::BlockQ8_0>},
     {WeightKind::kQ4_0, 4, FloatKind::kF16, group_in_row<kernels::BlockQ4_0>},
     {WeightKind::kQ4_1, 4, FloatKind::kF16, group_in_row<kernels::BlockQ4_1>},
     {WeightKind::kQ5_0, 5, FloatKind::kF16, group_in_row<kernels::BlockQ5_0>},
     {WeightKind::kQ5_1, 5, FloatKind::kF16, group_in_row<kernels::BlockQ5_1>},
     {WeightKind::kQ4_K, 4, FloatKind::kF32, group_in_row<kernels::BlockQ4_K>},
     {WeightKind::kQ5_K, 5, FloatKind::kF32, group_in_row<kernels::BlockQ5_K>}}};

const KindRow* find_kind(WeightKind kind) noexcept {
  for (const KindRow& row : kKinds)
    if (row.kind == kind) return &row;
  return nullptr;
}

}  // namespace

std::optional<int64_t> affine_bits(WeightKind kind) noexcept {
  const KindRow* row = find_kind(kind);
  return row == nullptr ? std::nullopt : std::optional(row->bits);
}

FloatKind affine_scale_kind(WeightKind kind) noexcept {
  const KindRow* row = find_kind(kind);
  return row == nullptr ? FloatKind::kF32 : row->scale_kind;
}

AffineMatrix affine_from_blocks(const kernels::WeightMatrix& source, int64_t bits, FloatKind scale_kind,
                                ThreadPool& pool, int64_t first_row) {
  const KindRow* kind = find_kind(source.kind);
  LILLE_CHECK(kind != nullptr && bits >= kind->bits && bits <= 8);
  const int64_t row_bytes = source.n_in * bits / 8;
  const int64_t n_groups = source.n_in / kBlockGroupSize;
  const int64_t scale_bytes = kernels::float_bytes(scale_kind);
  AffineMatrix matrix;
  matrix.codes.resize(static_cast<std::size_t>(source.n_out * row_bytes));
  matrix.scales.resize(static_cast<std::size_t>(source.n_out * n_groups * scale_bytes));
  matrix.biases.resize(matrix.scales.size());
  // The row's floats say whether all weights are finite.
  const auto write = [&](int64_t row_idx, std::span<const float>) {
    const std::byte* row = static_cast<const std::byte*>(source.data) + row_idx * kernels::row_bytes(source);
    CodeWriter codes(matrix.codes.data() + row_idx * row_bytes, bits);
    for (int64_t group_idx = 0; group_idx < n_groups; ++group_idx) {
      const Group group = kind->group_in_row(row, group_idx, kernels::block_weights(source.kind));
      const int64_t at = (row_idx * n_groups + group_idx) * scale_bytes;
      store_scale(matrix.scales.data() + at, scale_kind, group.scale);
      store_scale(matrix.biases.data() + at, scale_kind, group.bias);
      for (const uint8_t code : group.codes) codes.put(code);
    }
  };
  for_each_row(source, pool, write, first_row);
  return matrix;
}

}  // namespace lille
