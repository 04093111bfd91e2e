#pragma once

#include <type_traits>

#include "kernels/simd/tile_q8.inl.h"
#include "kernels/simd/unroll.h"

// Rows of 8-bit activations against two panels at once, for processors whose products and sums are two
// instructions: what is spread over a vector of x meets two vectors of weights, which are laid out a product
// each, so that a tile does nothing but load, spread, multiply and add.

namespace lille::kernels::simd {
namespace {

/// How codes of kBits meet those of x: four bytes of x, spread over all lanes, a step.
template <typename Q, int kBits>
struct Step {
  using I = typename Q::I;
  static constexpr bool kIsWords = kBits == 8;
  /// Products of a block fit 16 bits, two columns in each: 16 * 15 * 127 < 2^15.
  static constexpr bool kInPairs = kBits <= 4;
  using X = std::conditional_t<kIsWords, int16_t, int8_t>;
  static constexpr int kColumns = sizeof(int32_t) / sizeof(X);
  static constexpr int kOfBlock = kQ8Block / kColumns;

  static const X* x_of(const Q8Rows& x) {
    if constexpr (kIsWords) return x.words;
    if constexpr (!kIsWords) return x.codes;
  }
  static I dot(I sums, I weights, I x) {
    if constexpr (kIsWords) return Q::dot_words(sums, weights, x);
    if constexpr (kInPairs) return Q::dot_pairs(sums, weights, x);
    if constexpr (!kIsWords && !kInPairs) {
      sums = Q::template dot<kBits>(sums, weights, x);
      Q::V::hide(sums);  // In order, as the others are.
    }
    return sums;
  }
  /// What dot added up for a block, in 32 bits.
  static I sums_of(I sums) {
    if constexpr (kInPairs) return Q::sums_of_pairs(sums);
    return sums;
  }
};

/// Both panels in scratch memory.
struct TwoPanels {
  const Byte* steps = nullptr;    ///< (steps of the columns that are laid out, 2 vectors)
  const float* scales = nullptr;  ///< (n_groups, outputs of both)
  const float* biases = nullptr;  ///< The same, or null.
  int64_t n_groups = 0;
  int64_t group_size = 0;
  int correction = 0;  ///< What is added to each code.
};

/// Groups [begin, end) of the columns of a matrix.
struct GroupRange {
  int64_t begin = 0;
  int64_t end = 0;
};

/// kRows rows of x from row_idx on against the columns that are laid out. `sums_before` are the products of
/// the columns before those, (kRows, outputs of both), and become those with them, where they are not the
/// last.
template <typename Q, int kBits, int kRows>
void multiply_two_panels_tile(const TwoPanels& panels, GroupRange groups, TileAsk& ask, const Q8Rows& x,
                              int64_t row_idx, float* sums_before, const TileOut& out, int64_t first) {
  using V = typename Q::V;
  using I = typename Q::I;
  using S = Step<Q, kBits>;
  constexpr int kParts = 2;
  constexpr int64_t kOuts = kParts * Q::kOuts;
  const int64_t blocks_of_group = panels.group_size / kQ8Block;
  const int64_t first_block = groups.begin * blocks_of_group;
  const typename S::X* x_rows[kRows];
  LILLE_UNROLL
  for (int row = 0; row < kRows; ++row)
    x_rows[row] = S::x_of(x) + (row_idx + row) * x.code_stride + first_block * kQ8Block;
  const float* x_scales = x.scales + first_block * x.block_stride + row_idx;
  const int32_t* x_sums = x.sums + first_block * x.block_stride + row_idx;
  const Byte* steps = panels.steps;

  typename V::F products[kRows][kParts];
  LILLE_UNROLL
  for (int row = 0; row < kRows; ++row) {
    LILLE_UNROLL
    for (int part = 0; part < kParts; ++part)
      products[row][part] =
          groups.begin == 0 ? V::zero() : V::load(sums_before + row * kOuts + part * Q::kOuts);
  }
  for (int64_t group = groups.begin; group < groups.end; ++group) {
    ask.next_group();
    typename V::F scales[kParts];
    for (int64_t block = 0; block < blocks_of_group; ++block) {
      I sums[kRows][kParts];
      LILLE_UNROLL
      for (int row = 0; row < kRows; ++row) {
        LILLE_UNROLL
        for (int part = 0; part < kParts; ++part) sums[row][part] = Q::set_int(0);
      }
      LILLE_UNROLL
      for (int step = 0; step < S::kOfBlock; ++step) {
        I weights[kParts];
        LILLE_UNROLL
        for (int part = 0; part < kParts; ++part) {
          weights[part] = Q::load(steps + (step * kParts + part) * Q::kCodes);
          // GCC would load them anew for each row: 9 loads for 6 products, which two a cycle cannot feed.
          V::hide(weights[part]);
        }
        LILLE_UNROLL
        for (int row = 0; row < kRows; ++row) {
          const I of_x = Q::broadcast_x(x_rows[row] + step * S::kColumns);
          LILLE_UNROLL
          for (int part = 0; part < kParts; ++part) {
            sums[row][part] = S::dot(sums[row][part], weights[part], of_x);
          }
        }
      }
      LILLE_UNROLL
      for (int part = 0; part < kParts; ++part)
        scales[part] = V::load(panels.scales + group * kOuts + part * Q::kOuts);
      LILLE_UNROLL
      for (int row = 0; row < kRows; ++row) {
        const auto x_scale = V::set(x_scales[row]);
        LILLE_UNROLL
        for (int part = 0; part < kParts; ++part) {
          I sum = S::sums_of(sums[row][part]);
          if (!S::kIsWords && panels.correction != 0)
            sum = V::add_int(sum, Q::set_int(panels.correction * x_sums[row]));
          products[row][part] = V::fma(V::to_float(sum), V::mul(scales[part], x_scale), products[row][part]);
        }
      }
      steps += S::kOfBlock * kParts * Q::kCodes;
      LILLE_UNROLL
      for (int row = 0; row < kRows; ++row) {
        x_rows[row] += kQ8Block;
        // An address for every row and step would be more than there are registers.
        hide_value(x_rows[row]);
      }
      x_scales += x.block_stride;
      x_sums += x.block_stride;
    }
  }
  if (groups.end < panels.n_groups) {
    LILLE_UNROLL
    for (int row = 0; row < kRows; ++row) {
      LILLE_UNROLL
      for (int part = 0; part < kParts; ++part)
        V::store(sums_before + row * kOuts + part * Q::kOuts, products[row][part]);
    }
    return;
  }
  if (panels.biases != nullptr) {
    typename V::F biases[kRows][kParts];
    LILLE_UNROLL
    for (int row = 0; row < kRows; ++row) biases[row][0] = biases[row][1] = V::zero();
    const float* of_group = panels.biases;
    const float* x_group_sums = x.group_sums + row_idx;
    for (int64_t group = 0; group < panels.n_groups; ++group) {
      LILLE_UNROLL
      for (int row = 0; row < kRows; ++row) {
        LILLE_UNROLL
        for (int part = 0; part < kParts; ++part)
          biases[row][part] =
              V::fma(V::load(of_group + part * Q::kOuts), V::set(x_group_sums[row]), biases[row][part]);
      }
      of_group += kOuts;
      x_group_sums += x.block_stride;
    }
    LILLE_UNROLL
    for (int row = 0; row < kRows; ++row) {
      LILLE_UNROLL
      for (int part = 0; part < kParts; ++part)
        products[row][part] = V::add(products[row][part], biases[row][part]);
    }
  }
  LILLE_UNROLL
  for (int row = 0; row < kRows; ++row) {
    LILLE_UNROLL
    for (int part = 0; part < kParts; ++part)
      store_products<Q>(out, row_idx + row, first + part * Q::kOuts, products[row][part]);
  }
}

/// multiply_two_panels_tile for 1 <= rows <= kMost.
template <typename Q, int kBits, int kMost = Q::kTwoPanelsTileRows>
inline void multiply_two_panels_rows(const TwoPanels& panels, GroupRange groups, TileAsk& ask,
                                     const Q8Rows& x, RowRange rows, float* sums_before, const TileOut& out,
                                     int64_t first) {
  if (rows.last - rows.first + 1 == kMost)
    return multiply_two_panels_tile<Q, kBits, kMost>(panels, groups, ask, x, rows.first, sums_before, out,
                                                     first);
  if constexpr (kMost > 1)
    multiply_two_panels_rows<Q, kBits, kMost - 1>(panels, groups, ask, x, rows, sums_before, out, first);
}

/// Columns that are laid out at a time, which stay in the nearest cache beside the rows of a tile: a multiple
/// of every group.
inline constexpr int64_t kTwoPanelsColumns = 640;
/// Rows of x that meet all panels of a range before the next ones do, and stay in the second cache meanwhile.
inline constexpr int64_t kTwoPanelsRows = 96;

/// Bytes of scratch memory: the columns that are laid out, products of the columns before them, scales and
/// biases.
template <typename Q>
inline int64_t two_panels_scratch_bytes(int64_t n_in) {
  constexpr int64_t kOuts = 2 * Q::kOuts;
  return kOuts * (2 * kTwoPanelsColumns + 4 * kTwoPanelsRows + 2 * 4 * (n_in / kQ8Block));
}

/// All rows of x against all outputs from first_out on. make_source makes a source of two panels from the
/// number of their first output: it has kBits, kHasBias, kCorrection, next and next_bytes (TileWeights),
/// lay_out(steps, groups) and put_floats(scales, biases). `scratch` is aligned and has
/// two_panels_scratch_bytes.
template <typename Q, typename MakeSource>
void multiply_two_panels(const MatmulQ8Args& args, int64_t first_out, int64_t group_size, Byte* scratch,
                         MakeSource make_source) {
  constexpr int64_t kOuts = 2 * Q::kOuts;
  const int64_t n_groups = args.weight.n_in / group_size;
  const int64_t groups_at_once = kTwoPanelsColumns / group_size;
  Byte* const steps = scratch;
  auto* const sums_before = reinterpret_cast<float*>(steps + kOuts * 2 * kTwoPanelsColumns);
  float* const scales = sums_before + kOuts * kTwoPanelsRows;
  float* const biases = scales + kOuts * n_groups;
  const TileOut out = {args.out, args.out_stride, args.out_begin, args.out_end};
  for (int64_t strip = 0; strip < args.n_rows; strip += kTwoPanelsRows) {
    const int64_t strip_end = strip + kTwoPanelsRows < args.n_rows ? strip + kTwoPanelsRows : args.n_rows;
    const int64_t strip_tiles = (strip_end - strip + Q::kTwoPanelsTileRows - 1) / Q::kTwoPanelsTileRows;
    for (int64_t first = first_out; first < args.out_end; first += kOuts) {
      const auto source = make_source(first);
      using Source = decltype(source);
      source.put_floats(scales, biases);
      const TwoPanels panels = {.steps = steps,
                                .scales = scales,
                                .biases = Source::kHasBias ? biases : nullptr,
                                .n_groups = n_groups,
                                .group_size = group_size,
                                .correction = Source::kCorrection};
      TileAsk ask = {source.next, source.next + source.next_bytes};
      ask.share_between(strip_tiles * n_groups);
      for (int64_t group = 0; group < n_groups; group += groups_at_once) {
        const GroupRange groups = {group,
                                   group + groups_at_once < n_groups ? group + groups_at_once : n_groups};
        source.lay_out(steps, groups);
        int64_t n_tiles = strip_tiles;
        for (int64_t row = strip; row < strip_end; --n_tiles) {
          const int64_t n = (strip_end - row + n_tiles - 1) / n_tiles;
          multiply_two_panels_rows<Q, Source::kBits>(panels, groups, ask, args.x, {row, row + n - 1},
                                                     sums_before + (row - strip) * kOuts, out, first);
          row += n;
        }
      }
    }
  }
}

/// Vectors of two panels' codes for the same four columns as the steps that they are.
template <typename Q, int kBits, int kOffset>
inline void put_steps(Byte* steps, int part, typename Q::I codes) {
  if constexpr (kBits == 8) {
    Q::store(steps + part * Q::kCodes, Q::template sub_words<kOffset>(Q::even_words(codes)));
    Q::store(steps + (2 + part) * Q::kCodes, Q::template sub_words<kOffset>(Q::odd_words(codes)));
  } else {
    Q::store(steps + part * Q::kCodes, codes);
  }
}

}  // namespace
}  // namespace lille::kernels::simd
