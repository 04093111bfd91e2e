#pragma once

#include "kernels/simd/coded_rows.inl.h"
#include "kernels/simd/dot_tile.inl.h"
#include "kernels/simd/rows.inl.h"

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

/// What one pass over the keys carries along for a tile of query heads: online softmax, arXiv 1805.02867.
template <typename V>
struct SoftmaxState {
  float largest[V::kTileRows];     ///< Largest score so far.
  float weight_sum[V::kTileRows];  ///< Sum of exp(score - largest) so far.
  float rescale[V::kTileRows];     ///< What a new largest score makes of everything summed before this block.
  alignas(
      64) float weights[V::kTileRows][kAttentionBlock];  ///< Scores of the block, then exp(score - largest).
};

/// Scores of keys [key_begin, key_begin + n) of a block; those past the last key are -infinity and weigh
/// nothing.
template <typename V, typename Cache>
inline void block_scores(SoftmaxState<V>& state, const AttentionArgs& args, int64_t rep_begin, int64_t n_reps,
                         int64_t key_begin) {
  constexpr int kKeys = 4;
  const int64_t n_keys = min_of(kAttentionBlock, args.n_keys - key_begin);
  for (int64_t key_idx = 0; key_idx < n_keys; key_idx += kKeys) {
    const auto keys = Cache::template rows<kKeys>(args, {key_begin + key_idx, args.n_keys - 1});
    dot_rows<FloatDots<V>>({.out = &state.weights[0][key_idx],
                            .out_stride = kAttentionBlock,
                            .x = args.queries + rep_begin * args.head_dim,
                            .x_stride = args.head_dim,
                            .n_outs = n_keys - key_idx},
                           n_reps, keys);
  }
  for (int64_t rep = 0; rep < n_reps; ++rep)
    for (int64_t key_idx = n_keys; key_idx < kAttentionBlock; ++key_idx)
      state.weights[rep][key_idx] = -kInfinity;
}

/// Turns the scores of one head into weights relative to the largest score so far.
template <typename V>
inline void block_weights(SoftmaxState<V>& state, int64_t rep, float scale) {
  using F = typename V::F;
  float* weights = state.weights[rep];
  F block_largest = V::set(-kInfinity);
  LILLE_UNROLL
  for (int64_t idx = 0; idx < kAttentionBlock; idx += V::kLanes) {
    const F scores = V::mul(V::load(weights + idx), V::set(scale));
    V::store(weights + idx, scores);
    block_largest = V::max(scores, block_largest);
  }
  const float before = state.largest[rep];
  const float block = V::largest(block_largest);
  const float largest = block > before ? block : before;
  F sum = V::zero();
  LILLE_UNROLL
  for (int64_t idx = 0; idx < kAttentionBlock; idx += V::kLanes) {
    const F lanes = exp<V>(V::sub(V::load(weights + idx), V::set(largest)));
    V::store(weights + idx, lanes);
    sum = V::add(sum, lanes);
  }
  const float rescale = V::first_lane(exp<V>(V::set(before - largest)));
  state.largest[rep] = largest;
  state.rescale[rep] = rescale;
  state.weight_sum[rep] = state.weight_sum[rep] * rescale + V::sum(sum);
}

/// out = out * rescale + sum over the block's keys of weight * value, key by key, for kReps heads and n_lanes
/// columns.
template <typename V, typename Cache, int kReps>
inline void add_values(const SoftmaxState<V>& state, const AttentionArgs& args, int64_t rep_begin,
                       int64_t key_begin, int64_t dim, int64_t n_lanes) {
  using F = typename V::F;
  const int64_t n_keys = min_of(kAttentionBlock, args.n_keys - key_begin);
  float* out = args.out + rep_begin * args.head_dim + dim;
  const typename Cache::Columns columns(dim, n_lanes);
  const int64_t row_bytes = Cache::row_bytes(args.head_dim);
  const Byte* value = static_cast<const Byte*>(args.values) + key_begin * row_bytes;
  F acc[kReps];
  LILLE_UNROLL
  for (int rep = 0; rep < kReps; ++rep)
    acc[rep] = V::mul(load_up_to<V>(out + rep * args.head_dim, n_lanes), V::set(state.rescale[rep]));
  for (int64_t key_idx = 0; key_idx < n_keys; ++key_idx, value += row_bytes) {
    const F lanes = columns.load(value);
    LILLE_UNROLL
    for (int rep = 0; rep < kReps; ++rep)
      acc[rep] = V::fma(V::set(state.weights[rep][key_idx]), lanes, acc[rep]);
  }
  LILLE_UNROLL
  for (int rep = 0; rep < kReps; ++rep) store_up_to<V>(out + rep * args.head_dim, acc[rep], n_lanes);
}

template <typename V, typename Cache, int kReps>
inline void attend_tile(const AttentionArgs& args, int64_t rep_begin) {
  SoftmaxState<V> state;
  for (int rep = 0; rep < kReps; ++rep) {
    state.largest[rep] = -kInfinity;
    state.weight_sum[rep] = 0;
  }
  float* out = args.out + rep_begin * args.head_dim;
  for (int64_t idx = 0; idx < kReps * args.head_dim; ++idx) out[idx] = 0;

  for (int64_t key_begin = 0; key_begin < args.n_keys; key_begin += kAttentionBlock) {
    block_scores<V, Cache>(state, args, rep_begin, kReps, key_begin);
    for (int rep = 0; rep < kReps; ++rep) block_weights<V>(state, rep, args.scale);
    for_each_vector<V>(args.head_dim, [&](int64_t dim, int64_t n_lanes) {
      add_values<V, Cache, kReps>(state, args, rep_begin, key_begin, dim, n_lanes);
    });
  }
  for (int rep = 0; rep < kReps; ++rep)
    for (int64_t dim = 0; dim < args.head_dim; ++dim) out[rep * args.head_dim + dim] /= state.weight_sum[rep];
}

template <typename V, typename Cache>
inline void attend(const AttentionArgs& args) {
  for (int64_t rep_begin = 0; rep_begin < args.n_rep; rep_begin += V::kTileRows) {
    const int64_t n_reps = min_of(V::kTileRows, args.n_rep - rep_begin);
    if (n_reps == 1) {
      attend_tile<V, Cache, 1>(args, rep_begin);
    } else if (n_reps == 2) {
      attend_tile<V, Cache, 2>(args, rep_begin);
    } else if (n_reps == 3) {
      attend_tile<V, Cache, 3>(args, rep_begin);
    } else if constexpr (V::kTileRows >= 6) {
      if (n_reps == 4) attend_tile<V, Cache, 4>(args, rep_begin);
      if (n_reps == 5) attend_tile<V, Cache, 5>(args, rep_begin);
      if (n_reps == 6) attend_tile<V, Cache, 6>(args, rep_begin);
    }
  }
}

template <typename V>
void attention(const AttentionArgs& args) noexcept {
  switch (args.cache_kind) {
    case WeightKind::kF16:
      return attend<V, FloatCache<V, FloatKind::kF16>>(args);
    case WeightKind::kBF16:
      return attend<V, FloatCache<V, FloatKind::kBF16>>(args);
    case WeightKind::kQ8_0:
      return attend<V, BlockCache<V, FormatQ8_0<V>>>(args);
    default:
      return attend<V, FloatCache<V, FloatKind::kF32>>(args);
  }
}

}  // namespace
}  // namespace lille::kernels::simd
