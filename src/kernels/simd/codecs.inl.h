#pragma once

#include "kernels/block_formats.h"
#include "kernels/simd/float_rows.inl.h"

// How each quantised kind becomes float32 lanes, with the bits of the reference kernel. A codec cuts a row
// into segments that share a scale. A segment gives V::kLanes weights from any of its columns on that is a
// multiple of V::kLanes.

namespace lille::kernels::simd {
namespace {

/// What turns the codes of a segment into weights: (code - kOffset) * scale, or code * scale + bias. Fields
/// are codes of kBits with whatever bits above them.
template <typename V, int kBits, int kOffset, bool kHasBias, bool kLooksUp = kBits == 4 && V::kLooksUp16>
struct Scaling {
  using F = typename V::F;
  using I = typename V::I;
  F scale;
  F bias;

  Scaling() = default;
  Scaling(F scale_of, F bias_of) : scale(scale_of), bias(bias_of) {}

  F of_codes(I codes) const {
    if constexpr (kHasBias) return V::fma(V::to_float(codes), scale, bias);
    if constexpr (kOffset == 0) return V::mul(V::to_float(codes), scale);
    return V::mul(V::to_float(V::sub_int(codes, V::set_int(kOffset))), scale);
  }
  F of_fields(I fields) const { return of_codes(V::and_int(fields, V::set_int((1 << kBits) - 1))); }
};

/// Sixteen codes have sixteen weights, which some instruction sets look up in one step.
template <typename V, int kBits, int kOffset, bool kHasBias>
struct Scaling<V, kBits, kOffset, kHasBias, true> {
  using F = typename V::F;
  F weights;

  Scaling() = default;
  Scaling(F scale, F bias)
      : weights(Scaling<V, kBits, kOffset, kHasBias, false>(scale, bias).of_codes(V::lane_indices())) {}

  F of_fields(typename V::I fields) const { return V::look_up(weights, fields); }
};

/// MLX's affine codes: a stream of kBits each, scales and biases in arrays of their own.
template <typename V, int kBits, FloatKind kScaleKind>
struct AffineCodec {
  using Scales = Floats<V, kScaleKind>;
  struct Row {
    const Byte* codes;
    const Byte* scales;
    const Byte* biases;
  };
  struct Segment {
    const Byte* codes;
    Scaling<V, kBits, 0, true> scaling;

    typename V::F load(int64_t offset) const {
      const Byte* from = codes + offset * kBits / 8;
      if constexpr (kBits == 8) return scaling.of_codes(V::load_u8(from));
      return scaling.of_fields(V::template load_fields<kBits>(from));
    }
  };

  int64_t group_size;

  explicit AffineCodec(const WeightMatrix& weight) : group_size(weight.group_size) {}

  static int64_t row_bytes(int64_t n_cols) { return n_cols * kBits / 8; }
  int64_t segment_cols() const { return group_size; }
  int64_t segment_bytes() const { return row_bytes(group_size); }

  Row row(const WeightMatrix& weight, int64_t row_idx) const {
    const int64_t scale_bytes = row_idx * (weight.n_in / group_size) * Scales::kBytes;
    return {.codes = static_cast<const Byte*>(weight.data) + row_idx * row_bytes(weight.n_in),
            .scales = static_cast<const Byte*>(weight.scales) + scale_bytes,
            .biases = static_cast<const Byte*>(weight.biases) + scale_bytes};
  }
  const Byte* codes(const Row& row, int64_t segment_idx) const {
    return row.codes + segment_idx * segment_bytes();
  }
  Segment segment(const Row& row, int64_t segment_idx) const {
    return {.codes = codes(row, segment_idx),
            .scaling = {Scales::broadcast(row.scales + segment_idx * Scales::kBytes),
                        Scales::broadcast(row.biases + segment_idx * Scales::kBytes)}};
  }
};

/// GGUF's blocks. A Format names its Block and gives a Segment of a block.
template <typename Format>
struct BlockCodec {
  using Block = typename Format::Block;
  using Segment = typename Format::Segment;
  using Row = const Block*;
  static constexpr int64_t kSegments = Format::kSegments;  ///< Of a block.
  static constexpr int64_t kCols = Format::kCols;          ///< Of a segment.

  explicit BlockCodec(const WeightMatrix&) {}

  static constexpr int64_t row_bytes(int64_t n_cols) {
    return n_cols / (kSegments * kCols) * static_cast<int64_t>(sizeof(Block));
  }
  static constexpr int64_t segment_cols() { return kCols; }
  static constexpr int64_t segment_bytes() { return static_cast<int64_t>(sizeof(Block)) / kSegments; }

  static Row row(const WeightMatrix& weight, int64_t row_idx) {
    const Byte* data = static_cast<const Byte*>(weight.data);
    return reinterpret_cast<Row>(data + row_idx * row_bytes(weight.n_in));
  }
  static const Byte* codes(Row row, int64_t segment_idx) {
    return reinterpret_cast<const Byte*>(row) + segment_idx * segment_bytes();
  }
  static Segment segment(Row row, int64_t segment_idx) {
    return Format::segment(row[segment_idx / kSegments], segment_idx % kSegments);
  }
};

template <typename V>
struct FormatQ8_0 {
  using Block = BlockQ8_0;
  static constexpr int64_t kSegments = 1;
  static constexpr int64_t kCols = kBlockWeights;
  struct Segment {
    const int8_t* codes;
    Scaling<V, 8, 0, false> scaling;

    typename V::F load(int64_t offset) const { return scaling.of_codes(V::load_i8(codes + offset)); }
  };
  static Segment segment(const Block& block, int64_t) {
    return {block.codes, {V::broadcast_f16(block.scale), V::zero()}};
  }
};

/// The 32 codes of a block with halves of bytes: the low halves, then the high ones.
template <typename V>
inline typename V::I half_byte_fields(const uint8_t* codes, int64_t offset) {
  if (offset < 16) return V::load_u8(codes + offset);
  return V::shift_right(V::load_u8(codes + offset - 16), V::set_int(4));
}

/// Q4_0 and Q4_1.
template <typename V, typename BlockOf, int kOffset, bool kHasBias>
struct FormatOf4Bits {
  using Block = BlockOf;
  static constexpr int64_t kSegments = 1;
  static constexpr int64_t kCols = kBlockWeights;
  struct Segment {
    const uint8_t* codes;
    Scaling<V, 4, kOffset, kHasBias> scaling;

    typename V::F load(int64_t offset) const { return scaling.of_fields(half_byte_fields<V>(codes, offset)); }
  };
  static Segment segment(const Block& block, int64_t) {
    typename V::F bias = V::zero();
    if constexpr (kHasBias) bias = V::broadcast_f16(block.bias);
    return {block.codes, {V::broadcast_f16(block.scale), bias}};
  }
};

/// Bit `bit` of each lane moved to be the fifth bit of a code.
template <typename V>
inline typename V::I fifth_bits(typename V::I words, typename V::I bit) {
  return V::shift_left(V::and_int(V::shift_right(words, bit), V::set_int(1)), V::set_int(4));
}

/// Q5_0 and Q5_1.
template <typename V, typename BlockOf, int kOffset, bool kHasBias>
struct FormatOf5Bits {
  using Block = BlockOf;
  static constexpr int64_t kSegments = 1;
  static constexpr int64_t kCols = kBlockWeights;
  struct Segment {
    const uint8_t* codes;
    typename V::I high_bits;
    Scaling<V, 5, kOffset, kHasBias> scaling;

    typename V::F load(int64_t offset) const {
      const auto low = V::and_int(half_byte_fields<V>(codes, offset), V::set_int(15));
      const auto bit = V::add_int(V::lane_indices(), V::set_int(static_cast<int>(offset)));
      return scaling.of_codes(V::or_int(low, fifth_bits<V>(high_bits, bit)));
    }
  };
  static Segment segment(const Block& block, int64_t) {
    typename V::F bias = V::zero();
    if constexpr (kHasBias) bias = V::broadcast_f16(block.bias);
    return {block.codes, V::broadcast_int(block.high_bits), {V::broadcast_f16(block.scale), bias}};
  }
};

/// code * scale - min: the scaling of a sub-block of Q4_K or Q5_K.
template <typename V, int kBits, typename Block>
inline Scaling<V, kBits, 0, true> sub_block_scaling(const Block& block, int64_t sub_idx) {
  const auto scale = V::set(static_cast<float>(sub_scale(block.scales_and_mins, sub_idx)));
  const auto min = V::set(-static_cast<float>(sub_min(block.scales_and_mins, sub_idx)));
  return {V::mul(V::broadcast_f16(block.scale), scale), V::mul(V::broadcast_f16(block.min_scale), min)};
}

template <typename V>
struct FormatQ4_K {
  using Block = BlockQ4_K;
  static constexpr int64_t kSegments = 8;
  static constexpr int64_t kCols = 32;
  struct Segment {
    const uint8_t* codes;
    typename V::I shift;
    Scaling<V, 4, 0, true> scaling;

    typename V::F load(int64_t offset) const {
      return scaling.of_fields(V::shift_right(V::load_u8(codes + offset), shift));
    }
  };
  static Segment segment(const Block& block, int64_t sub_idx) {
    return {block.codes + sub_idx / 2 * 32, V::set_int(static_cast<int>(sub_idx % 2 * 4)),
            sub_block_scaling<V, 4>(block, sub_idx)};
  }
};

template <typename V>
struct FormatQ5_K {
  using Block = BlockQ5_K;
  static constexpr int64_t kSegments = 8;
  static constexpr int64_t kCols = 32;
  struct Segment {
    const uint8_t* codes;
    const uint8_t* high_bits;
    typename V::I shift;
    typename V::I high_bit;
    Scaling<V, 5, 0, true> scaling;

    typename V::F load(int64_t offset) const {
      const auto low = V::and_int(V::shift_right(V::load_u8(codes + offset), shift), V::set_int(15));
      const auto high = fifth_bits<V>(V::load_u8(high_bits + offset), high_bit);
      return scaling.of_codes(V::or_int(low, high));
    }
  };
  static Segment segment(const Block& block, int64_t sub_idx) {
    return {block.codes + sub_idx / 2 * 32, block.high_bits, V::set_int(static_cast<int>(sub_idx % 2 * 4)),
            V::set_int(static_cast<int>(sub_idx)), sub_block_scaling<V, 5>(block, sub_idx)};
  }
};

template <typename V>
struct FormatQ6_K {
  using Block = BlockQ6_K;
  static constexpr int64_t kSegments = 16;
  static constexpr int64_t kCols = 16;
  struct Segment {
    const uint8_t* low_bits;
    const uint8_t* high_bits;
    typename V::I low_shift;
    typename V::I high_shift;
    Scaling<V, 6, 32, false> scaling;

    typename V::F load(int64_t offset) const {
      const auto low = V::and_int(V::shift_right(V::load_u8(low_bits + offset), low_shift), V::set_int(15));
      const auto high = V::and_int(V::shift_right(V::load_u8(high_bits + offset), high_shift), V::set_int(3));
      return scaling.of_codes(V::or_int(low, V::shift_left(high, V::set_int(4))));
    }
  };
  static Segment segment(const Block& block, int64_t sub_idx) {
    const int64_t half_idx = sub_idx / 8;
    const int64_t quarter = sub_idx / 2 % 4;
    const int64_t first = sub_idx % 2 * 16;
    const auto scale = V::set(static_cast<float>(block.scales[sub_idx]));
    return {block.low_bits + half_idx * 64 + quarter % 2 * 32 + first,
            block.high_bits + half_idx * 32 + first,
            V::set_int(static_cast<int>(quarter / 2 * 4)),
            V::set_int(static_cast<int>(quarter * 2)),
            {V::mul(V::broadcast_f16(block.scale), scale), V::zero()}};
  }
};

}  // namespace
}  // namespace lille::kernels::simd
