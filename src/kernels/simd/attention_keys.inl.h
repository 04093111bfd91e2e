#pragma once

#include "kernels/simd/coded_rows.inl.h"
#include "kernels/simd/dot_tile.inl.h"
#include "kernels/simd/rows.inl.h"

// How attention reads a cache, and keys that are laid out once for several rows.

namespace lille::kernels::simd {
namespace {

/// A cache of floats: keys as a policy of dot_tile, values a vector of columns at a time.
template <typename V, FloatKind kKind>
struct FloatCache {
  using Load = Floats<V, kKind>;
  template <int kRows>
  using Rows = FloatRows<V, kKind, kRows>;

  template <int kRows>
  static Rows<kRows> rows(const AttentionArgs& args, RowRange range) {
    return {args.keys, args.head_dim, range};
  }
  static int64_t row_bytes(int64_t head_dim) { return head_dim * Load::kBytes; }

  /// Columns [dim, dim + n_lanes) of a row.
  struct Columns {
    int64_t first_byte;
    int64_t n_lanes;

    Columns(int64_t dim, int64_t n) : first_byte(dim * Load::kBytes), n_lanes(n) {}
    typename V::F load(const Byte* row) const {
      return n_lanes == V::kLanes ? Load::load(row + first_byte) : Load::load_n(row + first_byte, n_lanes);
    }
  };
};

/// The same of blocks, which are whole vectors.
template <typename V, typename Format>
struct BlockCache {
  using Codec = BlockCodec<Format>;
  using Block = typename Format::Block;
  static_assert(Format::kSegments == 1);

  template <int kRows>
  static CodedRows<V, Codec, kRows> rows(const AttentionArgs& args, RowRange range) {
    return {{.kind = args.cache_kind, .data = args.keys, .n_out = args.n_keys, .n_in = args.head_dim}, range};
  }
  static int64_t row_bytes(int64_t head_dim) { return Codec::row_bytes(head_dim); }

  struct Columns {
    int64_t block_idx;
    int64_t offset;

    Columns(int64_t dim, int64_t) : block_idx(dim / Format::kCols), offset(dim % Format::kCols) {}
    typename V::F load(const Byte* row) const {
      return Format::segment(reinterpret_cast<const Block*>(row)[block_idx], 0).load(offset);
    }
  };
};

/// A vector type that lays keys out column by column, so that a lane is a key and rows share them.
template <typename V>
concept SharesKeys = requires(typename V::F (&lanes)[V::kLanes]) {
  V::transpose(lanes);
};

/// A block of keys as columns. Only heads of the width that Lille has are laid out.
struct KeyColumns {
  static constexpr int64_t kHeadDim = 64;
  alignas(64) float values[kHeadDim][kAttentionBlock];
};

/// Whether laying out a block costs less than it saves.
template <typename V>
inline bool shares_keys(const AttentionArgs& args) {
  return SharesKeys<V> && args.n_rows > 1 && args.head_dim == KeyColumns::kHeadDim;
}

/// Lays out the block of keys that begins at key_begin; those past last_key are whatever.
template <typename V, typename Cache>
void lay_out_keys(KeyColumns& columns, const AttentionArgs& args, int64_t key_begin, int64_t last_key) {
  const int64_t row_bytes = Cache::row_bytes(KeyColumns::kHeadDim);
  for (int64_t key_idx = 0; key_idx < kAttentionBlock; key_idx += V::kLanes)
    for (int64_t dim = 0; dim < KeyColumns::kHeadDim; dim += V::kLanes) {
      const typename Cache::Columns of_row(dim, V::kLanes);
      typename V::F lanes[V::kLanes];
      LILLE_UNROLL
      for (int idx = 0; idx < V::kLanes; ++idx)
        lanes[idx] = of_row.load(static_cast<const Byte*>(args.keys) +
                                 min_of(key_begin + key_idx + idx, last_key) * row_bytes);
      V::transpose(lanes);
      LILLE_UNROLL
      for (int idx = 0; idx < V::kLanes; ++idx) V::store(&columns.values[dim + idx][key_idx], lanes[idx]);
    }
}

/// Scores of V::kLanes keys for kReps heads whose queries are KeyColumns::kHeadDim apart. dot_tile adds the
/// products of every V::kLanes-th column and then folds halves of the lanes onto each other; these are its
/// sums of lanes first, first + step, ..., in the same order, so that both have the same bits.
template <typename V, int kReps, int kFirst = 0, int kStep = 1>
inline __attribute__((always_inline)) void column_scores(typename V::F (&sums)[kReps], const float* queries,
                                                         const float* keys) {
  if constexpr (kStep == V::kLanes) {
    LILLE_UNROLL
    for (int rep = 0; rep < kReps; ++rep) sums[rep] = V::zero();
    LILLE_UNROLL
    for (int dim = kFirst; dim < KeyColumns::kHeadDim; dim += kStep) {
      const auto lanes = V::load(keys + dim * kAttentionBlock);
      LILLE_UNROLL
      for (int rep = 0; rep < kReps; ++rep)
        sums[rep] = V::fma(V::set(queries[rep * KeyColumns::kHeadDim + dim]), lanes, sums[rep]);
    }
  } else {
    typename V::F others[kReps];
    column_scores<V, kReps, kFirst, 2 * kStep>(sums, queries, keys);
    column_scores<V, kReps, kFirst + kStep, 2 * kStep>(others, queries, keys);
    LILLE_UNROLL
    for (int rep = 0; rep < kReps; ++rep) sums[rep] = V::add(sums[rep], others[rep]);
  }
}

/// Scores of the first n_keys keys of a block for kReps heads, kAttentionBlock apart.
template <typename V, int kReps>
void shared_scores(float* out, const float* queries, const KeyColumns& columns, int64_t n_keys) {
  for (int64_t key_idx = 0; key_idx < n_keys; key_idx += V::kLanes) {
    // The compiler would else keep every element of the queries, spread over a vector, for the next keys.
    hide_value(queries);
    typename V::F scores[kReps];
    column_scores<V, kReps>(scores, queries, &columns.values[0][key_idx]);
    LILLE_UNROLL
    for (int rep = 0; rep < kReps; ++rep) V::store(out + rep * kAttentionBlock + key_idx, scores[rep]);
  }
}

}  // namespace
}  // namespace lille::kernels::simd
