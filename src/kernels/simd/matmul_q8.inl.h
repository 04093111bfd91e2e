#pragma once

#include "kernels/block_formats.h"
#include "kernels/simd/packed_panels.inl.h"

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
      to.sums[block * to.block_stride] = 0;
      to.scales[block * to.block_stride] = bits >= kInfinityBits ? __builtin_nanf("") : 0.0f;
    } else {
      to.sums[block * to.block_stride] = Q::round_block(codes, from, 127.0f / largest);
      to.scales[block * to.block_stride] = largest / 127.0f;
    }
  }
  __builtin_memset(to.codes + n_in, 0, static_cast<size_t>(to.code_stride - n_in));
  if constexpr (MultipliesWords<Q>)
    for (int64_t col = 0; col < to.code_stride; col += kQ8Block) Q::widen(to.words + col, to.codes + col);
  const int64_t blocks_of_group = group_size / kQ8Block;
  for (int64_t block = 0; block < n_blocks;) {
    float sum = 0;
    const int64_t group = block / blocks_of_group;
    for (const int64_t end = block + blocks_of_group; block < end; ++block)
      sum = __builtin_fmaf(static_cast<float>(to.sums[block * to.block_stride]),
                           to.scales[block * to.block_stride], sum);
    to.group_sums[group * to.block_stride] = sum;
  }
}

/// MLX's codes of kBits.
template <typename Q, int kCodeBits, FloatKind kKind>
struct AffineQ8 {
  static constexpr int kBits = kCodeBits;
  static constexpr int kOffset = 0;  ///< What a weight takes off its code.
  static constexpr bool kHasBias = true;
  static constexpr FloatKind kScaleKind = kKind;
  using Scales = Floats<typename Q::V, kKind>;

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
  /// Bytes that one request for memory stands for while rows are read in step.
  static constexpr int64_t kAskStep = 64;
};

/// GGUF's blocks of 32.
template <typename Q, typename Block, int kCodeBits, int kCodeOffset, bool kBias>
struct BlockQ8 {
  static constexpr int kBits = kCodeBits;
  static constexpr int kOffset = kCodeOffset;
  static constexpr bool kHasBias = kBias;
  static constexpr FloatKind kScaleKind = FloatKind::kF16;
  using Scales = Floats<typename Q::V, kScaleKind>;

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
  /// Q8_0 likes the long step (rows of 640 weights from memory at 20.6 GB/s instead of 17.7), MLX's codes do
  /// not (10.2 instead of 16.1); why is not known.
  static constexpr int64_t kAskStep = kBits == 8 ? prefetch_step<typename Q::V>() : 64;
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

  const Byte* scales_at(int64_t group) const { return scales_ + group * kGroupBytes; }
  const Byte* biases_at(int64_t group) const { return biases_ + group * kGroupBytes; }
  F scales(int64_t group) const { return Codec::Scales::load(scales_at(group)); }

  /// The biases' part of the products of a row.
  F bias_products(const Q8Rows& x, int64_t n_groups) const {
    F sums = Q::V::zero();
    if constexpr (Codec::kHasBias)
      for (int64_t group = 0; group < n_groups; ++group)
        sums = Q::V::fma(Codec::Scales::load(biases_at(group)),
                         Q::V::set(x.group_sums[group * x.block_stride]), sums);
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
  const Byte* next;  ///< Where the rows of the next panel would be.

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
        rows(static_cast<const Byte*>(of.weight.data) + out_idx * row_bytes),
        next(rows + Q::kOuts * row_bytes) {
    // Rows past the last are whatever: what they give is not stored. But they must be readable.
    const int64_t n_rows = range.last - range.first + 1;
    if (n_rows >= Q::kOuts) return;
    Byte* copies =
        scratch + Q::kOuts * (of.x.code_stride + 2 * n_groups * static_cast<int64_t>(sizeof(float)));
    __builtin_memcpy(copies, rows, static_cast<size_t>(n_rows * row_bytes));
    rows = copies;
  }

  TileOut out() const { return {args.out, args.out_stride, args.out_begin, args.out_end}; }
};

/// One row of x against a panel as it is stored.
template <typename Q, typename Codec>
class StoredProduct {
 public:
  StoredProduct(const Panel<Q, Codec>& panel, int64_t row_idx)
      : panel_(panel), x_(panel.args.x.from(row_idx)), next_panel_(Q::kOuts * panel.row_bytes) {
    int64_t col = 0;
    for (; col + Q::kCodes <= panel.n_in; col += Q::kCodes) add<true>(col);
    if (col < panel.n_in) add<false>(col);
    store_products<Q>(panel.out(), row_idx, panel.range.first,
                      V::add(products_, panel.scales.bias_products(x_, panel.n_groups)));
  }

 private:
  using V = typename Q::V;
  using I = typename Q::I;
  static constexpr int kBlocks = Q::kCodes / kQ8Block;

  template <bool kWhole>
  void add(int64_t col) {
    // The next panel, in the order of its addresses, in which the processor's own prefetching goes on.
    const Byte* next = panel_.rows + next_panel_ + col * Codec::kBits / 8 * Q::kOuts;
    for (int64_t byte = 0; byte < Q::kCodes * Q::kOuts * Codec::kBits / 8; byte += Codec::kAskStep)
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
      const I sum = V::add_int(blocks[idx],
                               Q::set_int(Panel<Q, Codec>::kCorrection * x_.sums[block * x_.block_stride]));
      const auto scale = V::mul(panel_.scales.scales(block >> panel_.group_shift),
                                V::set(x_.scales[block * x_.block_stride]));
      products_ = V::fma(V::to_float(sum), scale, products_);
    }
  }

  const Panel<Q, Codec>& panel_;
  Q8Rows x_;
  int64_t next_panel_;
  typename V::F products_ = V::zero();
};

/// Lays a panel out in groups of four columns, each with all outputs. Units of tiles take weights, which are
/// signed where the codec has an offset; else the offset is taken off their sums.
template <typename Q, typename Codec>
void lay_out(const Panel<Q, Codec>& panel) {
  for (int64_t col = 0; col < panel.n_in; col += Q::kCodes) {
    const Byte* row = panel.rows;
    typename Q::I codes[Q::kOuts];
    LILLE_UNROLL
    for (int idx = 0; idx < Q::kOuts; ++idx, row += panel.row_bytes)
      codes[idx] = Codec::load(row, col, col + Q::kCodes <= panel.n_in);
    Q::transpose(codes);
    if constexpr (HasTileUnit<Q> && Codec::kOffset != 0) {
      LILLE_UNROLL
      for (int idx = 0; idx < Q::kOuts; ++idx) codes[idx] = Q::template sub_bytes<Codec::kOffset>(codes[idx]);
    }
    LILLE_UNROLL
    for (int idx = 0; idx < Q::kOuts; ++idx)
      Q::store(panel.laid_out + (col / Q::kCodes * Q::kOuts + idx) * Q::kCodes, codes[idx]);
  }
}

/// All rows of x against the panel, in tiles.
template <typename Q, typename Codec>
inline void multiply_panel(const Panel<Q, Codec>& panel) {
  constexpr bool kHasUnit = HasTileUnit<Q>;
  constexpr TileForm kForm = kHasUnit && Codec::kOffset != 0 ? TileForm::kSigned
                             : Codec::kBits == 8             ? TileForm::kWide
                                                             : TileForm::kBytes;
  constexpr int kShift = FourColumns<Q, kForm>::kShift;
  lay_out(panel);
  const TileWeights weights = {.codes = panel.laid_out,
                               .code_step = 4 * Q::kOuts,
                               .group_step = panel.group_size * Q::kOuts,
                               .scales = panel.scales.scales_at(0),
                               .biases = Codec::kHasBias ? panel.scales.biases_at(0) : nullptr,
                               .scale_step = PanelScales<Q, Codec>::kGroupBytes,
                               .scale_kind = Codec::kScaleKind,
                               .n_in = panel.n_in,
                               .group_size = panel.group_size,
                               .correction = kHasUnit ? 0 : kShift - Codec::kOffset,
                               .next = panel.next,
                               .next_bytes = Q::kOuts * panel.row_bytes};
  multiply_tiles<Q, kForm>(weights, panel.args.x, panel.args.n_rows, panel.out(), panel.range.first);
}

/// Rows of weights as they are stored, as a source of multiply_two_panels.
template <typename Q, typename Codec>
class StoredPanels {
 public:
  static constexpr int kBits = Codec::kBits;
  static constexpr bool kHasBias = Codec::kHasBias;
  static constexpr int kCorrection = kBits == 8 ? 0 : -Codec::kOffset;
  const Byte* next;
  int64_t next_bytes;

  /// `scratch` has two_panels_scratch_bytes before what is used here.
  StoredPanels(const MatmulQ8Args& args, int64_t group_size, int64_t first, Byte* scratch)
      : weight_(args.weight),
        group_size_(group_size),
        n_groups_(args.weight.n_in / group_size),
        range_{first, args.out_end - 1},
        scratch_(scratch + two_panels_scratch_bytes<Q>(args.weight.n_in)) {
    const int64_t row_bytes = Codec::row_bytes(args.weight.n_in);
    rows_ = static_cast<const Byte*>(args.weight.data) + first * row_bytes;
    next_bytes = kOuts * row_bytes;
    next = rows_ + next_bytes;
    // Rows past the last are whatever: what they give is not stored. But they must be readable.
    const int64_t n_rows = args.out_end - first;
    if (n_rows >= kOuts) return;
    Byte* copies = scratch_ + 2 * n_groups_ * PanelScales<Q, Codec>::kGroupBytes;
    __builtin_memcpy(copies, rows_, static_cast<size_t>(n_rows * row_bytes));
    rows_ = copies;
  }

  void put_floats(float* scales, float* biases) const {
    for (int part = 0; part < kParts; ++part) {
      const PanelScales<Q, Codec> panel(weight_, {range_.first + part * Q::kOuts, range_.last}, n_groups_,
                                        scratch_);
      for (int64_t group = 0; group < n_groups_; ++group) {
        const int64_t to = group * kOuts + part * Q::kOuts;
        V::store(scales + to, panel.scales(group));
        if constexpr (kHasBias) V::store(biases + to, Codec::Scales::load(panel.biases_at(group)));
      }
    }
  }

  void lay_out(Byte* steps, GroupRange groups) const {
    const int64_t row_bytes = Codec::row_bytes(weight_.n_in);
    for (int64_t col = groups.begin * group_size_; col < groups.end * group_size_; col += Q::kCodes) {
      const Byte* row = rows_;
      for (int part = 0; part < kParts; ++part) {
        typename Q::I codes[Q::kOuts];
        LILLE_UNROLL
        for (int idx = 0; idx < Q::kOuts; ++idx, row += row_bytes) codes[idx] = Codec::load(row, col, true);
        Q::transpose(codes);
        LILLE_UNROLL
        for (int idx = 0; idx < Q::kOuts; ++idx)
          put_steps<Q, kBits, Codec::kOffset>(steps + idx * kFourBytes, part, codes[idx]);
      }
      steps += Q::kOuts * kFourBytes;
    }
  }

 private:
  using V = typename Q::V;
  static constexpr int kParts = 2;
  static constexpr int64_t kOuts = kParts * Q::kOuts;
  static constexpr int64_t kFourBytes =
      4 / Step<Q, kBits>::kColumns * kParts * Q::kCodes;  ///< Of four columns.

  const WeightMatrix& weight_;
  int64_t group_size_;
  int64_t n_groups_;
  RowRange range_;
  Byte* scratch_;
  const Byte* rows_;
};

template <typename Q, typename Codec>
void matmul_q8_of(const MatmulQ8Args& args, int64_t group_size) {
  Byte* scratch = aligned_scratch(args);
  const auto for_panels = [&](auto use) {
    for (int64_t out_idx = args.out_begin; out_idx < args.out_end; out_idx += Q::kOuts)
      use(Panel<Q, Codec>(args, group_size, out_idx, scratch));
  };
  if constexpr (!HasTileUnit<Q>) {
    if (args.n_rows < Q::kPackRows) {
      for_panels([&](const Panel<Q, Codec>& panel) {
        for (int64_t row = 0; row < args.n_rows; ++row) StoredProduct<Q, Codec>(panel, row);
      });
      return;
    }
  }
  if constexpr (MultipliesWords<Q>) {
    multiply_two_panels<Q>(args, args.out_begin, group_size, scratch, [&](int64_t first) {
      return StoredPanels<Q, Codec>(args, group_size, first, scratch);
    });
  } else {
    for_panels([](const Panel<Q, Codec>& panel) { multiply_panel(panel); });
  }
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
  with_scale_kind(args.weight.scale_kind, [&]<FloatKind kScaleKind>() {
    if (args.weight.kind == WeightKind::kPacked) return matmul_q8_packed<Q, kScaleKind>(args);
    matmul_q8_affine<Q, kScaleKind>(args);
  });
}

/// A panel laid out, its scales and biases as float32 at most, a copy of its rows, and what aligning takes;
/// of two panels where they are multiplied at once.
template <typename Q>
int64_t matmul_q8_scratch_floats(int64_t n_in) noexcept {
  const int64_t padded = (n_in + kQ8Padding - 1) / kQ8Padding * kQ8Padding;
  const int64_t n_groups = n_in / kQ8Block;
  const int64_t row_floats = n_groups * static_cast<int64_t>(sizeof(BlockQ8_0)) / 4 + 1;
  const int64_t of_panel = Q::kOuts * (padded / 4 + 2 * n_groups + row_floats);
  if constexpr (MultipliesWords<Q>) return two_panels_scratch_bytes<Q>(n_in) / 4 + 2 * of_panel + 16;
  return of_panel + 16;
}

}  // namespace
}  // namespace lille::kernels::simd
