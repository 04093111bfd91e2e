#pragma once

#include "kernels/simd/float_rows.inl.h"
#include "kernels/simd/rows.inl.h"

// Rows of 8-bit activations against a panel of Q::kOuts outputs whose codes lie in groups of four columns, so
// that a lane is an output and nothing is shuffled. One tile serves every form of weights that can be laid
// out like that.

namespace lille::kernels::simd {
namespace {

/// How the codes of a panel lie in memory.
enum class TileForm {
  kBytes,    ///< A byte each, below 128.
  kWide,     ///< A byte each, up to 255.
  kNibbles,  ///< Two in a byte: those of four columns in the low halves, of the next four in the high ones.
  kSigned,   ///< A byte each, from -128 to 127: for units of tiles.
};

/// A Q of a processor with a unit that multiplies whole tiles (amx/q8.h): for kLeastRows rows or more, laid
/// out a byte each.
template <typename Q>
concept HasTileUnit = requires {
  Q::kLeastRows;
};

/// A Q whose panels of codes up to 255 are multiplied by Q8Rows::words, and whose halves of bytes are summed
/// in 16 bits.
template <typename Q>
concept MultipliesWords = requires {
  requires Q::kMultipliesWords;
};

/// The codes of four columns of a panel. X is what they meet. The sums of a block begin with integers of 32
/// bits, or with zero where `dot` adds in 16 bits.
template <typename Q, TileForm kForm>
struct FourColumns {
  using X = int8_t;
  using I = typename Q::I;
  static constexpr bool kWide = kForm == TileForm::kWide;
  /// Codes below 16, whose products of a block fit 16 bits, two columns in each: 16 * 15 * 127 < 2^15.
  static constexpr bool kInPairs = MultipliesWords<Q> && kForm == TileForm::kNibbles;
  static constexpr int kShift = kWide ? Q::template kShift<8> : 0;  ///< What dot takes off each code.
  I codes;

  static const X* x_of(const Q8Rows& x) { return x.codes; }
  explicit FourColumns(I of) : codes(of) {}
  /// sums + codes * x, an output in each lane.
  I dot(I sums, const X* x) const {
    if constexpr (kInPairs) {
      return Q::dot_pairs(sums, codes, x);
    } else {
      return Q::template dot_broadcast<kWide>(sums, codes, x);
    }
  }
  /// What dot added up for a block, in 32 bits.
  static I sums_of(I sums) {
    if constexpr (kInPairs) return Q::sums_of_pairs(sums);
    return sums;
  }
};

template <typename Q>
requires MultipliesWords<Q>
struct FourColumns<Q, TileForm::kWide> {
  using X = int16_t;
  using I = typename Q::I;
  static constexpr int kShift = 0;
  I even;
  I odd;

  static const X* x_of(const Q8Rows& x) { return x.words; }
  explicit FourColumns(I of) : even(Q::even_words(of)), odd(Q::odd_words(of)) {}
  I dot(I sums, const X* x) const { return Q::dot_words(Q::dot_words(sums, even, x), odd, x + 2); }
  static I sums_of(I sums) { return sums; }
};

/// A panel that is laid out: codes[group][four columns][output][four], with the scales and biases of each
/// group.
struct TileWeights {
  const Byte* codes = nullptr;
  int64_t code_step = 0;   ///< Bytes from the codes of four columns (kNibbles: eight) to the next.
  int64_t group_step = 0;  ///< Bytes from the codes of one group to those of the next.
  const Byte* scales = nullptr;
  const Byte* biases = nullptr;  ///< Null where weights have none.
  int64_t scale_step = 0;        ///< Bytes from the scales or biases of one group to those of the next.
  FloatKind scale_kind = FloatKind::kF32;
  int64_t n_in = 0;
  int64_t group_size = 0;
  int correction = 0;      ///< What is added to each code.
  bool is_stream = false;  ///< Memory goes on with the next panel.
  /// What the next panel will be read from. Asking for it is all that happens there, so that it may lie past
  /// the end of the matrix.
  const Byte* next = nullptr;
  int64_t next_bytes = 0;
};

/// The part of the next panel's memory that a tile asks for, some lines with each group: a panel that is
/// asked for while it is read waits for memory in its first tile and leaves it idle in the others (8 rows:
/// 302 GOP/s instead of 212; 128 rows: 342 instead of 318).
struct TileAsk {
  const Byte* at = nullptr;
  const Byte* end = nullptr;
  int64_t group_bytes = 0;
  int64_t step = 64;  ///< Bytes that one request stands for.

  /// Has n_groups groups ask for all that is left.
  void share_between(int64_t n_groups) {
    const int64_t n_steps = n_groups * step;
    group_bytes = (end - at + n_steps - 1) / n_steps * step;
  }
  void next_group() {
    const Byte* until = end - at < group_bytes ? end : at + group_bytes;
    for (; at < until; at += step) __builtin_prefetch(at, 0, 2);
  }
};

/// What the first of n_tiles tiles asks for. With so few rows that memory is all they wait for, the panel is
/// read like a stream (2 rows: a tenth faster).
template <typename V>
inline TileAsk first_ask(const TileWeights& weights, int64_t n_rows, int64_t n_tiles) {
  constexpr int64_t kMostStreamRows = 3;
  const int64_t n_groups = weights.n_in / weights.group_size;
  const Byte* end = weights.next + weights.next_bytes;
  if (weights.is_stream && n_rows <= kMostStreamRows)
    return {stream_ahead(weights.codes), end, weights.group_step, prefetch_step<V>()};
  TileAsk ask = {weights.next, end};
  ask.share_between(n_tiles * n_groups);
  return ask;
}

/// Floats of a kind that is known when it runs: asked once for a group, which costs nothing beside its
/// products.
template <typename V>
inline typename V::F load_floats(const Byte* from, FloatKind kind) {
  if (kind == FloatKind::kF32) return V::load(from);
  return kind == FloatKind::kF16 ? V::load_f16(from) : V::load_bf16(from);
}

/// Columns [begin, end) of out, of which a panel gives some.
struct TileOut {
  float* data = nullptr;
  int64_t stride = 0;
  int64_t begin = 0;
  int64_t end = 0;
};

/// Row `row_idx` of the panel that begins at output `first`.
template <typename Q>
inline void store_products(const TileOut& out, int64_t row_idx, int64_t first, typename Q::V::F products) {
  float* row = out.data + row_idx * out.stride;
  if (first >= out.begin && first + Q::kOuts <= out.end) return Q::V::store(row + first, products);
  alignas(64) float lanes[Q::kOuts];
  Q::V::store(lanes, products);
  for (int64_t idx = 0; idx < Q::kOuts; ++idx)
    if (first + idx >= out.begin && first + idx < out.end) row[first + idx] = lanes[idx];
}

/// The codes of four columns against those of kRows rows of x.
template <typename Q, typename Four, int kRows>
inline void dot_four(typename Q::I (&sums)[kRows], typename Q::I codes,
                     const typename Four::X* const (&x)[(kRows + 2) / 3], int64_t x_stride) {
  const Four four(codes);
  LILLE_UNROLL
  for (int row = 0; row < kRows; ++row) sums[row] = four.dot(sums[row], x[row / 3] + row % 3 * x_stride);
}

/// kRows rows of x from row_idx on. kIsPlain: is_plain(weights).
template <typename Q, TileForm kForm, int kRows, bool kIsPlain>
void multiply_tile(const TileWeights& weights, TileAsk ask, const Q8Rows& x, int64_t row_idx,
                   const TileOut& out, int64_t first) {
  using V = typename Q::V;
  using I = typename Q::I;
  using Four = FourColumns<Q, kForm>;
  const int64_t n_groups = weights.n_in / weights.group_size;
  // Three rows from one address: a processor has too few registers for an address each.
  const typename Four::X* x_rows[(kRows + 2) / 3];
  LILLE_UNROLL
  for (int idx = 0; idx < (kRows + 2) / 3; ++idx)
    x_rows[idx] = Four::x_of(x) + (row_idx + 3 * idx) * x.code_stride;
  // The compiler would else make an address for every row and column of a tile, more than there are
  // registers, and keep them in memory (12 rows against a panel: 219 GOP/s instead of 249).
  int64_t x_stride = x.code_stride;
  hide_value(x_stride);
  const float* x_scales = x.scales + row_idx;
  const int32_t* x_sums = x.sums + row_idx;

  // Stores that wait for memory would hold up those of the next tile.
  LILLE_UNROLL
  for (int row = 0; row < kRows; ++row)
    __builtin_prefetch(out.data + (row_idx + row) * out.stride + first, 1, 3);
  typename V::F products[kRows];
  LILLE_UNROLL
  for (int row = 0; row < kRows; ++row) products[row] = V::zero();
  for (int64_t group = 0; group < n_groups; ++group) {
    const Byte* codes = weights.codes + group * weights.group_step;
    const auto weight_scales =
        load_floats<V>(weights.scales + group * weights.scale_step, weights.scale_kind);
    ask.next_group();
    // Only constants unroll a loop; where nothing is known, twice the code was a tenth slower (AVX2).
    constexpr int kAtOnce = kIsPlain ? 2 : 1;
    for (int64_t block = 0; block < (kIsPlain ? 2 : weights.group_size / kQ8Block); block += kAtOnce) {
      LILLE_UNROLL
      for (int half = 0; half < kAtOnce; ++half) {
        I sums[kRows];
        LILLE_UNROLL
        for (int row = 0; row < kRows; ++row) sums[row] = Q::set_int(0);
        if (!kIsPlain && weights.correction != 0) {
          LILLE_UNROLL
          for (int row = 0; row < kRows; ++row) sums[row] = Q::set_int(weights.correction * x_sums[row]);
        }
        LILLE_UNROLL
        for (int four = 0; four < kQ8Block / 4; ++four) {
          I four_codes = Q::load(codes);
          if constexpr (kForm == TileForm::kNibbles) {
            four_codes = four % 2 == 0 ? Q::low_halves(four_codes) : Q::high_halves(four_codes);
            if (four % 2 == 1) codes += weights.code_step;
          } else {
            codes += weights.code_step;
          }
          dot_four<Q, Four, kRows>(sums, four_codes, x_rows, x_stride);
          LILLE_UNROLL
          for (int idx = 0; idx < (kRows + 2) / 3; ++idx) {
            x_rows[idx] += 4;
            hide_value(x_rows[idx]);
          }
        }
        LILLE_UNROLL
        for (int row = 0; row < kRows; ++row) {
          products[row] = V::fma(V::to_float(Four::sums_of(sums[row])),
                                 V::mul(weight_scales, V::set(x_scales[row])), products[row]);
        }
        x_scales += x.block_stride;
        x_sums += x.block_stride;
      }
    }
  }
  if (weights.biases != nullptr) {
    typename V::F biases[kRows];
    LILLE_UNROLL
    for (int row = 0; row < kRows; ++row) biases[row] = V::zero();
    for (int64_t group = 0; group < n_groups; ++group) {
      const auto bias = load_floats<V>(weights.biases + group * weights.scale_step, weights.scale_kind);
      const float* group_sums = x.group_sums + group * x.block_stride + row_idx;
      LILLE_UNROLL
      for (int row = 0; row < kRows; ++row) biases[row] = V::fma(bias, V::set(group_sums[row]), biases[row]);
    }
    LILLE_UNROLL
    for (int row = 0; row < kRows; ++row) products[row] = V::add(products[row], biases[row]);
  }
  LILLE_UNROLL
  for (int row = 0; row < kRows; ++row) store_products<Q>(out, row_idx + row, first, products[row]);
}

/// Groups of two blocks and codes as they are, for which the highest tiles have code of their own (12 rows:
/// 333 GOP/s instead of 323).
inline bool is_plain(const TileWeights& weights) {
  return weights.group_size == 2 * kQ8Block && weights.correction == 0;
}

/// multiply_tile for 1 <= n_rows <= kMost rows.
template <typename Q, TileForm kForm, int kMost = Q::kTileRows>
inline void multiply_rows(const TileWeights& weights, const TileAsk& ask, const Q8Rows& x, RowRange rows,
                          const TileOut& out, int64_t first) {
  if (rows.last - rows.first + 1 == kMost) {
    if constexpr (kMost + 1 >= Q::kTileRows)
      if (is_plain(weights))
        return multiply_tile<Q, kForm, kMost, true>(weights, ask, x, rows.first, out, first);
    return multiply_tile<Q, kForm, kMost, false>(weights, ask, x, rows.first, out, first);
  }
  if constexpr (kMost > 1) multiply_rows<Q, kForm, kMost - 1>(weights, ask, x, rows, out, first);
}

/// All rows of x against the panel, in tiles of nearly equal height.
template <typename Q, TileForm kForm>
inline void multiply_tiles(const TileWeights& weights, const Q8Rows& x, int64_t n_rows, const TileOut& out,
                           int64_t first) {
  if constexpr (HasTileUnit<Q>) return Q::template multiply_tiles<kForm>(weights, x, n_rows, out, first);
  int64_t n_tiles = (n_rows + Q::kTileRows - 1) / Q::kTileRows;
  TileAsk ask = first_ask<typename Q::V>(weights, n_rows, n_tiles);
  for (int64_t row = 0; row < n_rows; --n_tiles) {
    const int64_t n = (n_rows - row + n_tiles - 1) / n_tiles;
    multiply_rows<Q, kForm>(weights, ask, x, {row, row + n - 1}, out, first);
    ask.at += weights.n_in / weights.group_size * ask.group_bytes;
    row += n;
  }
}

}  // namespace
}  // namespace lille::kernels::simd
