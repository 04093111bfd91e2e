#include "quantize/packed.h"

#include <cstring>

#include "base/check.h"
#include "kernels/weight_kind.h"

namespace lille {
namespace {

using kernels::kPackedOuts;

// Where a row's codes of eight columns, scales and biases stand in a packed matrix.
class Places {
 public:
  explicit Places(const kernels::WeightMatrix& matrix)
      : matrix_(matrix), scale_bytes_(kernels::float_bytes(matrix.scale_kind)) {}

  int64_t n_groups() const { return matrix_.n_in / matrix_.group_size; }
  int64_t scale_bytes() const { return scale_bytes_; }
  int64_t scale(int64_t row, int64_t group) const {
    return group_begin(row, group) + kPackedOuts * matrix_.group_size * matrix_.bits / 8 +
           row % kPackedOuts * scale_bytes_;
  }
  int64_t bias(int64_t row, int64_t group) const { return scale(row, group) + kPackedOuts * scale_bytes_; }
  // Of the first four of the columns that share bytes: four of 8 bits, eight of 4.
  int64_t codes(int64_t row, int64_t col) const {
    const int64_t in_group = col % matrix_.group_size;
    return group_begin(row, col / matrix_.group_size) + in_group * matrix_.bits / 32 * 4 * kPackedOuts +
           row % kPackedOuts * 4;
  }

 private:
  int64_t group_begin(int64_t row, int64_t group) const {
    return row / kPackedOuts * packed_panel_bytes(matrix_) + group * packed_group_bytes(matrix_);
  }

  const kernels::WeightMatrix& matrix_;
  int64_t scale_bytes_;
};

// The four bytes of eight codes of 4 bits: MLX has neighbours in a byte, a panel has codes that are four
// apart.
uint32_t interleave(uint32_t stream) {
  uint32_t packed = 0;
  for (int idx = 0; idx < 8; ++idx) packed |= (stream >> (4 * idx) & 15) << (8 * (idx % 4) + 4 * (idx / 4));
  return packed;
}

uint32_t deinterleave(uint32_t packed) {
  uint32_t stream = 0;
  for (int idx = 0; idx < 8; ++idx) stream |= (packed >> (8 * (idx % 4) + 4 * (idx / 4)) & 15) << (4 * idx);
  return stream;
}

}  // namespace

std::vector<std::byte> pack_affine(const kernels::WeightMatrix& affine) {
  LILLE_CHECK(affine.kind == kernels::WeightKind::kAffine && can_pack(affine.bits));
  const Places places(affine);
  const int64_t n_panels = (affine.n_out + kPackedOuts - 1) / kPackedOuts;
  std::vector<std::byte> panels(static_cast<std::size_t>(n_panels * packed_panel_bytes(affine)));
  const auto n_scale_bytes = static_cast<std::size_t>(places.scale_bytes());
  const auto* codes = static_cast<const std::byte*>(affine.data);
  const auto* scales = static_cast<const std::byte*>(affine.scales);
  const auto* biases = static_cast<const std::byte*>(affine.biases);
  for (int64_t row = 0; row < affine.n_out; ++row) {
    for (int64_t col = 0; col < affine.n_in; col += 32 / affine.bits, codes += 4) {
      const auto stream = load_unaligned<uint32_t>(codes);
      const uint32_t packed = affine.bits == 4 ? interleave(stream) : stream;
      std::memcpy(panels.data() + places.codes(row, col), &packed, sizeof(packed));
    }
    for (int64_t group = 0; group < places.n_groups(); ++group) {
      std::memcpy(panels.data() + places.scale(row, group), scales, n_scale_bytes);
      std::memcpy(panels.data() + places.bias(row, group), biases, n_scale_bytes);
      scales += n_scale_bytes;
      biases += n_scale_bytes;
    }
  }
  return panels;
}

AffineMatrix unpack_affine(const kernels::WeightMatrix& packed) {
  LILLE_CHECK(packed.kind == kernels::WeightKind::kPacked);
  const Places places(packed);
  const auto* panels = static_cast<const std::byte*>(packed.data);
  AffineMatrix affine;
  const auto append = [](std::vector<std::byte>& to, const void* from, int64_t n_bytes) {
    const auto* bytes = static_cast<const std::byte*>(from);
    to.insert(to.end(), bytes, bytes + n_bytes);
  };
  for (int64_t row = 0; row < packed.n_out; ++row) {
    for (int64_t col = 0; col < packed.n_in; col += 32 / packed.bits) {
      const auto word = load_unaligned<uint32_t>(panels + places.codes(row, col));
      const uint32_t stream = packed.bits == 4 ? deinterleave(word) : word;
      append(affine.codes, &stream, sizeof(stream));
    }
    for (int64_t group = 0; group < places.n_groups(); ++group) {
      append(affine.scales, panels + places.scale(row, group), places.scale_bytes());
      append(affine.biases, panels + places.bias(row, group), places.scale_bytes());
    }
  }
  return affine;
}

}  // namespace lille
