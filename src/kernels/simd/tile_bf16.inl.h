#pragma once

#include "kernels/simd/float_rows.inl.h"

// Products of bfloat16 on a unit that multiplies tiles: 16 outputs' weights where they lie, 32 columns of
// them, by the same columns of up to 16 rows of x, which lie interleaved. The unit adds the products of an
// output and a row in an order that the other outputs and rows of a tile do not change, so that one row has
// the bits of many. U, the unit (amx/bf16.h):
//   U(outs, rows)        gives the tiles their shapes for panels of outs[0] and outs[1] outputs and groups of
//                        rows[0] and rows[1] rows of x; 0 for none
//   zero<kTile>(), load<kTile>(from, stride), store<kTile>(to, stride)
//   multiply<kSums, kWeights, kX>()
//   store_rows(out, out_stride, sums, n_rows, n_outs)   sums of a tile, output by output, to rows of `out`

namespace lille::kernels::simd {
namespace {

constexpr int64_t kBf16TileOuts = 16;
constexpr int64_t kBf16TileRows = 16;
constexpr int64_t kBf16TileColumns = 32;
constexpr int64_t kBf16Bytes = 2;

/// Bytes of x that are swept for one panel after the other: they stay in a level-2 cache beside the weights.
constexpr int64_t kBf16RowBlockBytes = 768 * 1024;

// The tiles, by what they hold: sums of panel p and group g, weights of panel p, x of group g.
constexpr int bf16_sums(int panel, int group) { return 2 * panel + group; }
constexpr int bf16_weights(int panel) { return 4 + panel; }
constexpr int bf16_x(int group) { return 6 + group; }

/// Up to two panels of outputs, or groups of rows.
struct TilePair {
  int64_t sizes[2] = {};

  static TilePair of(int64_t n) {
    return {{min_of(n, kBf16TileOuts), n > kBf16TileOuts ? n - kBf16TileOuts : 0}};
  }
};

/// Sums that left the unit and wait to be stored: among the next products, because the unit's work hides
/// theirs, but what waits for the unit would hold up what comes behind it.
template <typename U>
class WaitingSums {
 public:
  float* add(float* out, int64_t n_rows, int64_t n_outs) {
    tiles_[n_tiles_] = {out, n_rows, n_outs};
    return sums_[n_tiles_++];
  }
  void store_one(int64_t out_stride) {
    if (n_stored_ == n_tiles_) return;
    const Tile& tile = tiles_[n_stored_];
    U::store_rows(tile.out, out_stride, sums_[n_stored_], tile.n_rows, tile.n_outs);
    ++n_stored_;
  }
  void store_rest(int64_t out_stride) {
    while (n_stored_ != n_tiles_) store_one(out_stride);
    n_stored_ = n_tiles_ = 0;
  }

 private:
  struct Tile {
    float* out;
    int64_t n_rows;
    int64_t n_outs;
  };

  alignas(64) float sums_[4][kBf16TileOuts * kBf16TileRows];
  Tile tiles_[4] = {};
  int n_tiles_ = 0;
  int n_stored_ = 0;
};

/// Asks for [begin, end) of weights in the order of addresses: rows that are read in step follow it.
inline void ask_for(const Byte* begin, const Byte* end) {
  for (; begin < end; begin += kPrefetchStep) __builtin_prefetch(begin, 0, 2);
}

/// The weights of up to two panels.
struct Bf16Panels {
  const Byte* weights = nullptr;  ///< Row by row, n_in elements each, at any address.
  int64_t n_in = 0;
  TilePair outs;
  bool asks_ahead = false;  ///< Whether to ask for the panels that follow.
  /// Columns that fill no tile, with zeros behind them.
  alignas(64) uint16_t rest[2 * kBf16TileOuts][kBf16TileColumns];

  void set(const Byte* first_row) {
    weights = first_row;
    const int64_t n_whole = n_in / kBf16TileColumns * kBf16TileColumns;
    if (n_whole == n_in) return;
    const int64_t n_outs = outs.sizes[0] + outs.sizes[1];
    __builtin_memset(rest, 0, sizeof(rest));
    for (int64_t out_idx = 0; out_idx < n_outs; ++out_idx)
      __builtin_memcpy(rest[out_idx], first_row + (out_idx * n_in + n_whole) * kBf16Bytes,
                       static_cast<size_t>((n_in - n_whole) * kBf16Bytes));
  }
};

/// One or two panels by one or two groups of rows of x.
template <typename U, int kPanels, int kGroups>
class Bf16Tiles {
 public:
  Bf16Tiles(const Bf16Panels& panels, const MatmulArgsOf<uint16_t>& args, TilePair rows)
      : panels_(panels),
        args_(args),
        rows_(rows),
        weights_end_(static_cast<const Byte*>(args.weight.data) +
                     args.out_end * args.weight.n_in * kBf16Bytes) {}

  /// The sums of rows [row, ...) and outputs [out_idx, ...): one row's go to args.out, those of several to
  /// `waiting`, while those that wait there are stored.
  void multiply(int64_t row, int64_t out_idx, WaitingSums<U>& waiting) const {
    for_sums([]<int kPanel, int kGroup>() { U::template zero<bf16_sums(kPanel, kGroup)>(); });
    const uint16_t* x = args_.x + row * args_.x_stride;
    const int64_t n_in = panels_.n_in;
    const int64_t row_bytes = n_in * kBf16Bytes;
    const Byte* weights = panels_.weights;
    const Byte* ahead = weights + row_bytes * n_outs();
    int64_t col = 0;
    for (; col + kBf16TileColumns <= n_in; col += kBf16TileColumns) {
      if (panels_.asks_ahead) {
        // As many steps into the next panels as this step into these.
        const Byte* from = ahead + col * kBf16Bytes * n_outs();
        const Byte* to = from + kBf16TileColumns * kBf16Bytes * n_outs();
        ask_for(from, to < weights_end_ ? to : weights_end_);
      }
      add_products(weights + col * kBf16Bytes, row_bytes, x, col);
      waiting.store_one(args_.out_stride);
    }
    if (col < n_in)
      add_products(reinterpret_cast<const Byte*>(panels_.rest), sizeof(panels_.rest[0]), x, col);
    waiting.store_rest(args_.out_stride);
    for_sums([&]<int kPanel, int kGroup>() {
      float* out =
          args_.out + (row + kGroup * kBf16TileRows) * args_.out_stride + out_idx + kPanel * kBf16TileOuts;
      constexpr int64_t kFloat = sizeof(float);
      if (args_.n_rows == 1) {
        U::template store<bf16_sums(kPanel, kGroup)>(out, kFloat);
      } else {
        U::template store<bf16_sums(kPanel, kGroup)>(
            waiting.add(out, rows_.sizes[kGroup], panels_.outs.sizes[kPanel]), kBf16TileRows * kFloat);
      }
    });
  }

 private:
  template <typename Use>
  static void for_sums(Use use) {
    use.template operator()<0, 0>();
    if constexpr (kGroups == 2) use.template operator()<0, 1>();
    if constexpr (kPanels == 2) use.template operator()<1, 0>();
    if constexpr (kPanels == 2 && kGroups == 2) use.template operator()<1, 1>();
  }

  int64_t n_outs() const { return panels_.outs.sizes[0] + panels_.outs.sizes[1]; }

  void add_products(const Byte* weights, int64_t row_bytes, const uint16_t* x, int64_t col) const {
    U::template load<bf16_x(0)>(x + col * rows_.sizes[0], 4 * rows_.sizes[0]);
    U::template load<bf16_weights(0)>(weights, row_bytes);
    if constexpr (kGroups == 2)
      U::template load<bf16_x(1)>(x + kBf16TileRows * args_.x_stride + col * rows_.sizes[1],
                                  4 * rows_.sizes[1]);
    if constexpr (kPanels == 2)
      U::template load<bf16_weights(1)>(weights + kBf16TileOuts * row_bytes, row_bytes);
    for_sums([]<int kPanel, int kGroup>() {
      U::template multiply<bf16_sums(kPanel, kGroup), bf16_weights(kPanel), bf16_x(kGroup)>();
    });
  }

  const Bf16Panels& panels_;
  const MatmulArgsOf<uint16_t>& args_;
  TilePair rows_;
  const Byte* weights_end_;
};

/// A range of rows or of outputs; pairs of tiles of the same sizes go over it.
struct TileRange {
  int64_t begin = 0;
  int64_t end = 0;
};

/// Rows and outputs of pairs of the same sizes. Panels are used by all rows of a block before the next are,
/// so that weights are read once, as long as the rows of the block stay in the cache.
template <typename U, int kPanels, int kGroups>
void multiply_range(const MatmulArgsOf<uint16_t>& args, TileRange rows, TilePair row_sizes, TileRange outs,
                    TilePair out_sizes) {
  const U unit(out_sizes.sizes, row_sizes.sizes);
  const int64_t n_in = args.weight.n_in;
  const int64_t row_step = row_sizes.sizes[0] + row_sizes.sizes[1];
  const int64_t out_step = out_sizes.sizes[0] + out_sizes.sizes[1];
  const int64_t pair_bytes = row_step * args.x_stride * kBf16Bytes;
  const int64_t block_pairs = kBf16RowBlockBytes / pair_bytes;
  const int64_t block_rows = (block_pairs < 1 ? 1 : block_pairs) * row_step;
  Bf16Panels panels;
  panels.n_in = n_in;
  panels.outs = out_sizes;
  WaitingSums<U> waiting;
  const Bf16Tiles<U, kPanels, kGroups> tiles(panels, args, row_sizes);
  for (int64_t block = rows.begin; block < rows.end; block += block_rows)
    for (int64_t out_idx = outs.begin; out_idx < outs.end; out_idx += out_step) {
      panels.set(static_cast<const Byte*>(args.weight.data) + out_idx * n_in * kBf16Bytes);
      for (int64_t row = block; row < min_of(rows.end, block + block_rows); row += row_step) {
        panels.asks_ahead = row == 0;
        tiles.multiply(row, out_idx, waiting);
      }
    }
  waiting.store_rest(args.out_stride);
}

/// Calls use(range, sizes) for the part of a range that tiles of n_at_once fill, and for what is left.
template <typename Use>
inline void for_tile_ranges(int64_t begin, int64_t end, int64_t n_at_once, Use use) {
  const int64_t middle = begin + (end - begin) / n_at_once * n_at_once;
  if (begin < middle) use(TileRange{begin, middle}, TilePair::of(n_at_once));
  if (middle < end) use(TileRange{middle, end}, TilePair::of(end - middle));
}

/// Bf16Kernels::matmul. Few rows wait for weights, which fewer rows in step bring sooner.
template <typename U>
void matmul_tiles(const MatmulArgsOf<uint16_t>& args) {
  const int64_t panel_outs = args.n_rows <= kBf16TileRows ? kBf16TileOuts : 2 * kBf16TileOuts;
  const int64_t row_bytes = args.weight.n_in * kBf16Bytes;
  const auto* weights = static_cast<const Byte*>(args.weight.data);
  ask_for(weights + args.out_begin * row_bytes,
          weights + min_of(args.out_end, args.out_begin + panel_outs) * row_bytes);
  for_tile_ranges(0, args.n_rows, 2 * kBf16TileRows, [&](TileRange rows, TilePair row_sizes) {
    for_tile_ranges(args.out_begin, args.out_end, panel_outs, [&](TileRange outs, TilePair out_sizes) {
      const auto multiply = [&]<int kPanels, int kGroups>() {
        multiply_range<U, kPanels, kGroups>(args, rows, row_sizes, outs, out_sizes);
      };
      const bool has_two_panels = out_sizes.sizes[1] != 0;
      if (row_sizes.sizes[1] != 0) {
        has_two_panels ? multiply.template operator()<2, 2>() : multiply.template operator()<1, 2>();
      } else {
        has_two_panels ? multiply.template operator()<2, 1>() : multiply.template operator()<1, 1>();
      }
    });
  });
}

}  // namespace
}  // namespace lille::kernels::simd
