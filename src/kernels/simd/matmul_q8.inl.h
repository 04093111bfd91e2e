#pragma once

#include "kernels/block_formats.h"
#include "kernels/simd/float_rows.inl.h"
#include "kernels/simd/rows.inl.h"

// Products of 8-bit activations with quantised weights, over the primitives of a Q (avx2/q8.h). A lane is an
// output: a panel is Q::kOuts rows of weights. One row of x uses them as they are stored and adds up lanes
// block by block; several rows first lay the panel out so that a lane meets its own output. Sums of integers
// are exact, and the floats of an output are added block after block, so both ways and all sets of
// instructions give the same bits.

namespace lille::kernels::simd {
namespace {

/// reference::quantize_q8 says what it computes.
template <typename Q>
void quantize_q8(const Q8Rows& to, const float* x, int64_t n_in, int64_t group_size) noexcept {
  constexpr uint32_t kInfinityBits = 0x7f800000;
  const int64_t n_blocks = n_in / kQ8Block;
  for (int64_t block = 0; block < n_blocks; ++block) {
    const float* from = x + block * kQ8Block;
    int8_t* codes = to.codes + block * kQ8Block;
    const uint32_t bits = Q::largest_bits(from);
    float largest;
    __builtin_memcpy(&largest, &bits, sizeof(largest));
    if (bits >= kInfinityBits || largest < kQ8Smallest) {
      __builtin_memset(codes, 0, kQ8Block);
      to.sums[block] = 0;
      to.scales[block] = bits >= kInfinityBits ? __builtin_nanf("") : 0.0f;
    } else {
      to.sums[block] = Q::round_block(codes, from, 127.0f / largest);
      to.scales[block] = largest / 127.0f;
    }
  }
  __builtin_memset(to.codes + n_in, 0, static_cast<size_t>(to.code_stride - n_in));
  const int64_t blocks_of_group = group_size / kQ8Block;
  for (int64_t block = 0; block < n_blocks;) {
    float sum = 0;
    const int64_t group = block / blocks_of_group;
    for (const int64_t end = block + blocks_of_group; block < end; ++block)
      sum = __builtin_fmaf(static_cast<float>(to.sums[block]), to.scales[block], sum);
    to.group_sums[group] = sum;
  }
}

/// MLX's codes of kBits.
template <typename Q, int kCodeBits, FloatKind kScaleKind>
struct AffineQ8 {
  static constexpr int kBits = kCodeBits;
  static constexpr int kOffset = 0;  ///< What a weight takes off its code.
  static constexpr bool kHasBias = true;
  using Scales = Floats<typename Q::V, kScaleKind>;

  static int64_t row_bytes(int64_t n_in) { return n_in * kBits / 8; }
  static typename Q::I load(const Byte* row, int64_t col, bool whole) {
    return Q::template load_stream<kBits>(row + col * kBits / 8, whole);
  }
  /// The first scale and bias of a row, and the bytes from one to the next.
  static const Byte* scales(const WeightMatrix& weight, int64_t row, int64_t n_groups) {
    return static_cast<const Byte*>(weight.scales) + row * n_groups * Scales::kBytes;
  }
  static const Byte* biases(const WeightMatrix& weight, int64_t row, int64_t n_groups) {
    return static_cast<const Byte*>(weight.biases) + row * n_groups * Scales::kBytes;
  }
  static constexpr int64_t kScaleStep = Scales::kBytes;
};

/// GGUF's blocks of 32.
template <typename Q, typename Block, int kCodeBits, int kCodeOffset, bool kBias>
struct BlockQ8 {
  static constexpr int kBits = kCodeBits;
  static constexpr int kOffset = kCodeOffset;
  static constexpr bool kHasBias = kBias;
  using Scales = Floats<typename Q::V, FloatKind::kF16>;

  static int64_t row_bytes(int64_t n_in) {
    return n_in / kBlockWeights * static_cast<int64_t>(sizeof(Block));
  }
  static typename Q::I load(const Byte* row, int64_t col, bool whole) {
    const auto* blocks = reinterpret_cast<const Block*>(row) + col / kBlockWeights;
    if constexpr (kBits == 8) return Q::load_codes(blocks, whole);
    if constexpr (kBits == 4) return Q::load_codes_of_4(blocks, whole);
    if constexpr (kBits == 5) return Q::load_codes_of_5(blocks, whole);
  }
  static const Byte* scales(const WeightMatrix& weight, int64_t row, int64_t n_groups) {
    return static_cast<const Block*>(weight.data)[row * n_groups].scale;
  }
  static const Byte* biases(const WeightMatrix& weight, int64_t row, int64_t n_groups) {
    return static_cast<const Block*>(weight.data)[row * n_groups].bias;
  }
  static constexpr int64_t kScaleStep = sizeof(Block);
};

/// The scales and biases of a panel, one group's after another, as they are stored.
template <typename Q, typename Codec>
class PanelScales {
 public:
  using F = typename Q::V::F;
  static constexpr int64_t kBytes = Codec::Scales::kBytes;
  static constexpr int64_t kGroupBytes = Q::kOuts * kBytes;

  PanelScales(const WeightMatrix& weight, RowRange range, int64_t n_groups, Byte* scratch)
      : scales_(scratch), biases_(scratch + n_groups * kGroupBytes) {
    for (int idx = 0; idx < Q::kOuts; ++idx) {
      gather(scales_ + idx * kBytes, Codec::scales(weight, range.at(idx), n_groups), n_groups);
      if constexpr (Codec::kHasBias)
        gather(biases_ + idx * kBytes, Codec::biases(weight, range.at(idx), n_groups), n_groups);
    }
  }

  F scales(int64_t group) const { return Codec::Scales::load(scales_ + group * kGroupBytes); }

  /// The biases' part of the products of a row.
  F bias_products(const float* group_sums, int64_t n_groups) const {
    F sums = Q::V::zero();
    if constexpr (Codec::kHasBias)
      for (int64_t group = 0; group < n_groups; ++group)
        sums =
            Q::V::fma(Codec::Scales::load(biases_ + group * kGroupBytes), Q::V::set(group_sums[group]), sums);
    return sums;
  }

 private:
  static void gather(Byte* to, const Byte* from, int64_t n_groups) {
    for (; n_groups >= 4; n_groups -= 4) {
      LILLE_UNROLL
      for (int idx = 0; idx < 4; ++idx, to += kGroupBytes, from += Codec::kScaleStep)
        __builtin_memcpy(to, from, kBytes);
    }
    for (; n_groups > 0; --n_groups, to += kGroupBytes, from += Codec::kScaleStep)
      __builtin_memcpy(to, from, kBytes);
  }

  Byte* scales_;
  Byte* biases_;
};

/// What the products of a panel are made from.
template <typename Q, typename Codec>
struct Panel {
  static constexpr int kCorrection = Q::template kShift<Codec::kBits> - Codec::kOffset;

  const MatmulQ8Args& args;
  int64_t n_in;
  int64_t group_size;
  int64_t n_groups;
  int group_shift;  ///< Blocks of a group, as a power of two.
  RowRange range;
  int64_t row_bytes;
  Byte* laid_out;  ///< (n_in / 4, Q::kOuts, 4) codes, aligned, to be filled by lay_out.
  PanelScales<Q, Codec> scales;
  const Byte* rows;  ///< Q::kOuts rows as they are stored.

  Panel(const MatmulQ8Args& of, int64_t group, int64_t out_idx, Byte* scratch)
      : args(of),
        n_in(of.weight.n_in),
        group_size(group),
        n_groups(n_in / group),
        group_shift(__builtin_ctzll(static_cast<unsigned long long>(group / kQ8Block))),
        range{out_idx, of.out_end - 1},
        row_bytes(Codec::row_bytes(n_in)),
        laid_out(scratch),
        scales(of.weight, range, n_groups, scratch + Q::kOuts * of.x.code_stride),
        rows(static_cast<const Byte*>(of.weight.data) + out_idx * row_bytes) {
    // Rows past the last are whatever: what they give is not stored. But they must be readable.
    const int64_t n_rows = range.last - range.first + 1;
    if (n_rows >= Q::kOuts) return;
    Byte* copies =
        scratch + Q::kOuts * (of.x.code_stride + 2 * n_groups * static_cast<int64_t>(sizeof(float)));
    __builtin_memcpy(copies, rows, static_cast<size_t>(n_rows * row_bytes));
    rows = copies;
  }

  Q8Rows x(int64_t row_idx) const { return args.x.from(row_idx, n_in, group_size); }
  void store(int64_t row_idx, typename Q::V::F products) const {
    const int64_t n = min_of(Q::kOuts, range.last - range.first + 1);
    store_up_to<typename Q::V>(args.out + row_idx * args.out_stride + range.first, products, n);
  }
};

/// One row of x against a panel as it is stored.
template <typename Q, typename Codec>
class StoredProduct {
 public:
  StoredProduct(const Panel<Q, Codec>& panel, int64_t row_idx)
      : panel_(panel), x_(panel.x(row_idx)), next_panel_(Q::kOuts * panel.row_bytes) {
    int64_t col = 0;
    for (; col + Q::kCodes <= panel.n_in; col += Q::kCodes) add<true>(col);
    if (col < panel.n_in) add<false>(col);
    panel.store(row_idx, V::add(products_, panel.scales.bias_products(x_.group_sums, panel.n_groups)));
  }

 private:
  using V = typename Q::V;
  using I = typename Q::I;
  static constexpr int kBlocks = Q::kCodes / kQ8Block;

  template <bool kWhole>
  void add(int64_t col) {
    // The next panel, in the order of its addresses, in which the processor's own prefetching goes on.
    const Byte* next = panel_.rows + next_panel_ + col * Codec::kBits / 8 * Q::kOuts;
    for (int64_t byte = 0; byte < Q::kCodes * Q::kOuts * Codec::kBits / 8; byte += 64)
      __builtin_prefetch(next + byte, 0, 2);
    const I codes_of_x = Q::load_x(x_.codes + col);
    I fours[Q::kOuts / 4];
    LILLE_UNROLL
    for (int four = 0; four < Q::kOuts / 4; ++four) {
      const Byte* row = panel_.rows + 4 * four * panel_.row_bytes;
      I sums[4];
      LILLE_UNROLL
      for (int idx = 0; idx < 4; ++idx, row += panel_.row_bytes) {
        sums[idx] = Q::template dot<Codec::kBits>(Q::set_int(0), Codec::load(row, col, kWhole), codes_of_x);
      }
      fours[four] = Q::template sums_of_four<Codec::kBits>(sums[0], sums[1], sums[2], sums[3]);
    }
    I blocks[kBlocks];
    Q::sums_of_blocks(fours, blocks);
    LILLE_UNROLL
    for (int idx = 0; idx < (kWhole ? kBlocks : 1); ++idx) {
      const int64_t block = col / kQ8Block + idx;
      const I sum = V::add_int(blocks[idx], Q::set_int(Panel<Q, Codec>::kCorrection * x_.sums[block]));
      const auto scale = V::mul(panel_.scales.scales(block >> panel_.group_shift), V::set(x_.scales[block]));
      products_ = V::fma(V::to_float(sum), scale, products_);
    }
  }

  const Panel<Q, Codec>& panel_;
  Q8Rows x_;
  int64_t next_panel_;
  typename V::F products_ = V::zero();
};

/// Lays a panel out in groups of four columns, each with all outputs.
template <typename Q, typename Codec>
void lay_out(const Panel<Q, Codec>& panel) {
  for (int64_t col = 0; col < panel.n_in; col += Q::kCodes) {
    const Byte* row = panel.rows;
    typename Q::I codes[Q::kOuts];
    LILLE_UNROLL
    for (int idx = 0; idx < Q::kOuts; ++idx, row += panel.row_bytes)
      codes[idx] = Codec::load(row, col, col + Q::kCodes <= panel.n_in);
    Q::transpose(codes);
    LILLE_UNROLL
    for (int idx = 0; idx < Q::kOuts; ++idx)
      Q::store(panel.laid_out + (col / Q::kCodes * Q::kOuts + idx) * Q::kCodes, codes[idx]);
  }
}

/// kRows rows of x against a panel that is laid out.
template <typename Q, typename Codec, int kRows>
void multiply_tile(const Panel<Q, Codec>& panel, int64_t row_idx) {
  using V = typename Q::V;
  using I = typename Q::I;
  const Q8Rows x = panel.x(row_idx);
  const int64_t n_blocks = panel.n_in / kQ8Block;
  const int64_t blocks_of_group = panel.group_size / kQ8Block;
  const Byte* weights = panel.laid_out;

  typename V::F products[kRows];
  LILLE_UNROLL
  for (int row = 0; row < kRows; ++row) products[row] = V::zero();
  for (int64_t group = 0, block = 0; block < n_blocks; ++group) {
    const auto weight_scales = panel.scales.scales(group);
    for (const int64_t end = block + blocks_of_group; block < end; ++block) {
      I sums[kRows];
      LILLE_UNROLL
      for (int row = 0; row < kRows; ++row)
        sums[row] = Q::set_int(Panel<Q, Codec>::kCorrection * x.sums[row * n_blocks + block]);
      const int8_t* codes = x.codes + block * kQ8Block;
      for (int64_t col = 0; col < kQ8Block; col += 4, weights += 4 * Q::kOuts) {
        const I codes_of_weights = Q::load(weights);
        LILLE_UNROLL
        for (int row = 0; row < kRows; ++row)
          sums[row] = Q::template dot<Codec::kBits>(sums[row], codes_of_weights,
                                                    Q::broadcast_x(codes + row * x.code_stride + col));
      }
      LILLE_UNROLL
      for (int row = 0; row < kRows; ++row) {
        const auto scale = V::mul(weight_scales, V::set(x.scales[row * n_blocks + block]));
        products[row] = V::fma(V::to_float(sums[row]), scale, products[row]);
      }
    }
  }
  LILLE_UNROLL
  for (int row = 0; row < kRows; ++row) {
    const float* group_sums = x.group_sums + row * panel.n_groups;
    panel.store(row_idx + row, V::add(products[row], panel.scales.bias_products(group_sums, panel.n_groups)));
  }
}

/// multiply_tile for 1 <= n_rows <= kMost rows.
template <typename Q, typename Codec, int kMost = Q::kTileRows>
inline void multiply_rows(const Panel<Q, Codec>& panel, int64_t row_idx, int64_t n_rows) {
  if (n_rows == kMost) return multiply_tile<Q, Codec, kMost>(panel, row_idx);
  if constexpr (kMost > 1) multiply_rows<Q, Codec, kMost - 1>(panel, row_idx, n_rows);
}

/// All rows of x against the panel, in tiles of nearly equal height.
template <typename Q, typename Codec>
inline void multiply_panel(const Panel<Q, Codec>& panel) {
  const int64_t n_rows = panel.args.n_rows;
  if (n_rows < Q::kPackRows) {
    for (int64_t row = 0; row < n_rows; ++row) StoredProduct<Q, Codec>(panel, row);
    return;
  }
  lay_out(panel);
  int64_t n_tiles = (n_rows + Q::kTileRows - 1) / Q::kTileRows;
  for (int64_t row = 0; row < n_rows; --n_tiles) {
    const int64_t n = (n_rows - row + n_tiles - 1) / n_tiles;
    multiply_rows<Q, Codec>(panel, row, n);
    row += n;
  }
}

template <typename Q, typename Codec>
void matmul_q8_of(const MatmulQ8Args& args, int64_t group_size) {
  const auto address = reinterpret_cast<uintptr_t>(args.scratch);
  auto* scratch = reinterpret_cast<Byte*>((address + 63) / 64 * 64);
  for (int64_t out_idx = args.out_begin; out_idx < args.out_end; out_idx += Q::kOuts)
    multiply_panel(Panel<Q, Codec>(args, group_size, out_idx, scratch));
}

template <typename Q, FloatKind kScaleKind>
void matmul_q8_affine(const MatmulQ8Args& args) {
  const int64_t group_size = args.weight.group_size;
  switch (args.weight.bits) {
    case 2:
      return matmul_q8_of<Q, AffineQ8<Q, 2, kScaleKind>>(args, group_size);
    case 3:
      return matmul_q8_of<Q, AffineQ8<Q, 3, kScaleKind>>(args, group_size);
    case 4:
      return matmul_q8_of<Q, AffineQ8<Q, 4, kScaleKind>>(args, group_size);
    case 5:
      return matmul_q8_of<Q, AffineQ8<Q, 5, kScaleKind>>(args, group_size);
    case 6:
      return matmul_q8_of<Q, AffineQ8<Q, 6, kScaleKind>>(args, group_size);
    default:
      return matmul_q8_of<Q, AffineQ8<Q, 8, kScaleKind>>(args, group_size);
  }
}

template <typename Q>
void matmul_q8(const MatmulQ8Args& args) noexcept {
  switch (args.weight.kind) {
    case WeightKind::kQ8_0:
      return matmul_q8_of<Q, BlockQ8<Q, BlockQ8_0, 8, 128, false>>(args, kBlockWeights);
    case WeightKind::kQ4_0:
      return matmul_q8_of<Q, BlockQ8<Q, BlockQ4_0, 4, 8, false>>(args, kBlockWeights);
    case WeightKind::kQ4_1:
      return matmul_q8_of<Q, BlockQ8<Q, BlockQ4_1, 4, 0, true>>(args, kBlockWeights);
    case WeightKind::kQ5_0:
      return matmul_q8_of<Q, BlockQ8<Q, BlockQ5_0, 5, 16, false>>(args, kBlockWeights);
    case WeightKind::kQ5_1:
      return matmul_q8_of<Q, BlockQ8<Q, BlockQ5_1, 5, 0, true>>(args, kBlockWeights);
    default:
      break;
  }
  switch (args.weight.scale_kind) {
    case FloatKind::kF32:
      return matmul_q8_affine<Q, FloatKind::kF32>(args);
    case FloatKind::kF16:
      return matmul_q8_affine<Q, FloatKind::kF16>(args);
    case FloatKind::kBF16:
      return matmul_q8_affine<Q, FloatKind::kBF16>(args);
  }
}

/// A panel laid out, its scales and biases as float32 at most, a copy of its rows, and what aligning takes.
template <typename Q>
int64_t matmul_q8_scratch_floats(int64_t n_in) noexcept {
  const int64_t padded = (n_in + kQ8Padding - 1) / kQ8Padding * kQ8Padding;
  const int64_t n_groups = n_in / kQ8Block;
  const int64_t row_floats = n_groups * static_cast<int64_t>(sizeof(BlockQ8_0)) / 4 + 1;
  return Q::kOuts * (padded / 4 + 2 * n_groups + row_floats) + 16;
}

}  // namespace
}  // namespace lille::kernels::simd
