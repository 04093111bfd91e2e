#pragma once

#include "kernels/simd/attention_keys.inl.h"

namespace lille::kernels::simd {
namespace {

/// What one pass over the keys carries along for a tile of query heads of a row, a lane for each: online
/// softmax, arXiv 1805.02867.
template <typename V>
struct RunningSoftmax {
  typename V::F largest = V::set(-kInfinity);  ///< Largest score so far.
  typename V::F weight_sum = V::zero();        ///< Sum of exp(score - largest) so far.
};

/// Of the block that the pass is at.
template <typename V>
struct BlockWeights {
  /// What a new largest score makes of everything summed before this block.
  alignas(64) float rescale[V::kLanes];
  alignas(
      64) float weights[V::kTileRows][kAttentionBlock];  ///< Scores of the block, then exp(score - largest).
};

/// Scores of the block of keys that begins at key_begin; those past the last key are whatever.
template <typename V, typename Cache>
inline void block_scores(BlockWeights<V>& block, const AttentionArgs& args, int64_t rep_begin, int64_t n_reps,
                         int64_t key_begin) {
  constexpr int kKeys = 4;
  const int64_t n_keys = min_of(kAttentionBlock, args.n_keys - key_begin);
  for (int64_t key_idx = 0; key_idx < n_keys; key_idx += kKeys) {
    const auto keys = Cache::template rows<kKeys>(args, {key_begin + key_idx, args.n_keys - 1});
    dot_rows<FloatDots<V>>({.out = &block.weights[0][key_idx],
                            .out_stride = kAttentionBlock,
                            .x = args.queries + rep_begin * args.head_dim,
                            .x_stride = args.head_dim,
                            .n_outs = n_keys - key_idx},
                           n_reps, keys);
  }
}

/// Makes the scores of a block after the first n_keys -infinity, so that they weigh nothing.
template <typename V>
inline void hide_scores(float* scores, int64_t n_keys) {
  // Whole vectors: a load that meets several narrower stores waits until all are in the cache.
  float hidden[2 * V::kLanes] = {};
  for (int64_t idx = V::kLanes; idx < 2 * V::kLanes; ++idx) hidden[idx] = -kInfinity;
  for (int64_t idx = n_keys / V::kLanes * V::kLanes; idx < kAttentionBlock; idx += V::kLanes) {
    const int64_t n_lanes = n_keys - idx;
    V::store(scores + idx, n_lanes <= 0 ? V::set(-kInfinity)
                                        : V::add(V::keep_n(V::load(scores + idx), n_lanes),
                                                 V::load(hidden + V::kLanes - n_lanes)));
  }
}

/// Turns the scores of kReps heads, of which n_keys are there, into weights relative to the largest score of
/// a head so far.
template <typename V, int kReps>
inline void block_weights(RunningSoftmax<V>& state, BlockWeights<V>& block, int64_t n_keys, float scale) {
  using F = typename V::F;
  alignas(64) float largest[V::kLanes] = {};
  LILLE_UNROLL
  for (int rep = 0; rep < kReps; ++rep) {
    float* weights = block.weights[rep];
    if (n_keys < kAttentionBlock) hide_scores<V>(weights, n_keys);
    F lanes = V::set(-kInfinity);
    LILLE_UNROLL
    for (int64_t idx = 0; idx < kAttentionBlock; idx += V::kLanes) {
      const F scores = V::mul(V::load(weights + idx), V::set(scale));
      V::store(weights + idx, scores);
      lanes = V::max(scores, lanes);
    }
    largest[rep] = V::largest(lanes);
  }
  const F before = state.largest;
  state.largest = V::max(V::load(largest), before);
  V::store(largest, state.largest);
  F sums[(kReps + 3) / 4 * 4];
  LILLE_UNROLL
  for (int rep = 0; rep < (kReps + 3) / 4 * 4; ++rep) sums[rep] = V::zero();
  LILLE_UNROLL
  for (int rep = 0; rep < kReps; ++rep) {
    float* weights = block.weights[rep];
    LILLE_UNROLL
    for (int64_t idx = 0; idx < kAttentionBlock; idx += V::kLanes) {
      const F lanes = exp<V>(V::sub(V::load(weights + idx), V::set(largest[rep])));
      V::store(weights + idx, lanes);
      sums[rep] = V::add(sums[rep], lanes);
    }
  }
  alignas(64) float weight_sums[V::kLanes] = {};
  LILLE_UNROLL
  for (int rep = 0; rep < kReps; rep += 4)
    V::sum4(weight_sums + rep, sums[rep], sums[rep + 1], sums[rep + 2], sums[rep + 3]);
  const F rescale = exp<V>(V::sub(before, state.largest));
  V::store(block.rescale, rescale);
  state.weight_sum = V::add(V::mul(state.weight_sum, rescale), V::load(weight_sums));
}

/// out = out * rescale + sum over the block's keys of weight * value, key by key, for kReps heads and
/// kVectors vectors of columns, of which the last (kVectors is 1) has n_lanes.
template <typename V, typename Cache, int kReps, int kVectors>
inline void add_values(const BlockWeights<V>& block, const AttentionArgs& args, int64_t rep_begin,
                       int64_t key_begin, int64_t dim, int64_t n_lanes) {
  using F = typename V::F;
  const int64_t n_keys = min_of(kAttentionBlock, args.n_keys - key_begin);
  float* out = args.out + rep_begin * args.head_dim + dim;
  const int64_t row_bytes = Cache::row_bytes(args.head_dim);
  const Byte* value = static_cast<const Byte*>(args.values) + key_begin * row_bytes;
  F acc[kReps][kVectors];
  LILLE_UNROLL
  for (int rep = 0; rep < kReps; ++rep) {
    const F rescale = V::set(block.rescale[rep]);
    LILLE_UNROLL
    for (int idx = 0; idx < kVectors; ++idx)
      acc[rep][idx] = V::mul(load_up_to<V>(out + rep * args.head_dim + idx * V::kLanes, n_lanes), rescale);
  }
  for (int64_t key_idx = 0; key_idx < n_keys; ++key_idx, value += row_bytes) {
    F weights[kReps];
    LILLE_UNROLL
    for (int rep = 0; rep < kReps; ++rep) weights[rep] = V::set(block.weights[rep][key_idx]);
    LILLE_UNROLL
    for (int idx = 0; idx < kVectors; ++idx) {
      const F lanes = typename Cache::Columns(dim + idx * V::kLanes, n_lanes).load(value);
      LILLE_UNROLL
      for (int rep = 0; rep < kReps; ++rep) acc[rep][idx] = V::fma(weights[rep], lanes, acc[rep][idx]);
    }
  }
  LILLE_UNROLL
  for (int rep = 0; rep < kReps; ++rep) {
    LILLE_UNROLL
    for (int idx = 0; idx < kVectors; ++idx)
      store_up_to<V>(out + rep * args.head_dim + idx * V::kLanes, acc[rep][idx], n_lanes);
  }
}

/// add_values for all columns.
template <typename V, typename Cache, int kReps>
inline void add_all_values(const BlockWeights<V>& block, const AttentionArgs& args, int64_t rep_begin,
                           int64_t key_begin) {
  // 3 x 4 accumulators, 3 weights and a value use all 16 registers, 6 x 4 with 6 weights 31 of 32.
  constexpr int kVectors = 4;
  int64_t dim = 0;
  for (; dim + kVectors * V::kLanes <= args.head_dim; dim += kVectors * V::kLanes)
    add_values<V, Cache, kReps, kVectors>(block, args, rep_begin, key_begin, dim, V::kLanes);
  for (; dim < args.head_dim; dim += V::kLanes)
    add_values<V, Cache, kReps, 1>(block, args, rep_begin, key_begin, dim,
                                   min_of(V::kLanes, args.head_dim - dim));
}

/// Row row_idx alone.
inline AttentionArgs row_of(const AttentionArgs& args, int64_t row_idx) {
  AttentionArgs row = args;
  row.out += row_idx * args.out_stride;
  row.queries += row_idx * args.query_stride;
  row.n_keys += row_idx;
  row.n_rows = 1;
  return row;
}

/// Heads [rep_begin, rep_begin + kReps) of at most kAttentionRows rows, which meet the keys block by block.
/// The block after which nothing is seen differs from row to row; what a row computes does not depend on the
/// others.
template <typename V, typename Cache, int kReps>
inline void attend_tile(const AttentionArgs& args, int64_t rep_begin) {
  RunningSoftmax<V> states[kAttentionRows];
  for (int64_t row_idx = 0; row_idx < args.n_rows; ++row_idx) {
    float* out = args.out + row_idx * args.out_stride + rep_begin * args.head_dim;
    for (int64_t idx = 0; idx < kReps * args.head_dim; ++idx) out[idx] = 0;
  }

  KeyColumns columns;
  const bool shares = shares_keys<V>(args);
  const int64_t end_key = args.n_keys + args.n_rows - 1;
  for (int64_t key_begin = 0; key_begin < end_key; key_begin += kAttentionBlock) {
    if constexpr (SharesKeys<V>)
      if (shares) lay_out_keys<V, Cache>(columns, args, key_begin, end_key - 1);
    const int64_t first_row = key_begin < args.n_keys ? 0 : key_begin + 1 - args.n_keys;
    for (int64_t row_idx = first_row; row_idx < args.n_rows; ++row_idx) {
      const AttentionArgs row = row_of(args, row_idx);
      const int64_t n_keys = min_of(kAttentionBlock, row.n_keys - key_begin);
      BlockWeights<V> block;
      if (shares) {
        const float* queries = row.queries + rep_begin * row.head_dim;
        shared_scores<V, kReps>(&block.weights[0][0], queries, columns, n_keys);
      } else {
        block_scores<V, Cache>(block, row, rep_begin, kReps, key_begin);
      }
      block_weights<V, kReps>(states[row_idx], block, n_keys, row.scale);
      add_all_values<V, Cache, kReps>(block, row, rep_begin, key_begin);
    }
  }
  for (int64_t row_idx = 0; row_idx < args.n_rows; ++row_idx) {
    alignas(64) float inverse[V::kLanes];
    V::store(inverse, V::div(V::set(1.0f), states[row_idx].weight_sum));
    float* out = args.out + row_idx * args.out_stride + rep_begin * args.head_dim;
    for (int rep = 0; rep < kReps; ++rep, out += args.head_dim)
      for (int64_t dim = 0; dim < args.head_dim; ++dim) out[dim] *= inverse[rep];
  }
}

template <typename V, typename Cache>
inline void attend_rows(const AttentionArgs& args) {
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

template <typename V, typename Cache>
inline void attend(const AttentionArgs& args) {
  for (int64_t row_idx = 0; row_idx < args.n_rows; row_idx += kAttentionRows) {
    AttentionArgs rows = row_of(args, row_idx);
    rows.n_rows = min_of(kAttentionRows, args.n_rows - row_idx);
    attend_rows<V, Cache>(rows);
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
