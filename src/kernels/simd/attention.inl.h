#pragma once

#include "kernels/simd/dot_tile.inl.h"
#include "kernels/simd/rows.inl.h"

namespace lille::kernels::simd {
namespace {

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
template <typename V, FloatKind kKind>
inline void block_scores(SoftmaxState<V>& state, const AttentionArgs& args, int64_t rep_begin, int64_t n_reps,
                         int64_t key_begin) {
  constexpr int kKeys = 4;
  const int64_t n_keys = min_of(kAttentionBlock, args.n_keys - key_begin);
  for (int64_t key_idx = 0; key_idx < n_keys; key_idx += kKeys) {
    const FloatRows<V, kKind, kKeys> keys(args.keys, args.head_dim, {key_begin + key_idx, args.n_keys - 1});
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
template <typename V, FloatKind kKind, int kReps>
inline void add_values(const SoftmaxState<V>& state, const AttentionArgs& args, int64_t rep_begin,
                       int64_t key_begin, int64_t dim, int64_t n_lanes) {
  using F = typename V::F;
  using Values = Floats<V, kKind>;
  const int64_t n_keys = min_of(kAttentionBlock, args.n_keys - key_begin);
  float* out = args.out + rep_begin * args.head_dim + dim;
  const Byte* value =
      static_cast<const Byte*>(args.values) + (key_begin * args.head_dim + dim) * Values::kBytes;
  F acc[kReps];
  LILLE_UNROLL
  for (int rep = 0; rep < kReps; ++rep)
    acc[rep] = V::mul(load_up_to<V>(out + rep * args.head_dim, n_lanes), V::set(state.rescale[rep]));
  for (int64_t key_idx = 0; key_idx < n_keys; ++key_idx, value += args.head_dim * Values::kBytes) {
    const F lanes = n_lanes == V::kLanes ? Values::load(value) : Values::load_n(value, n_lanes);
    LILLE_UNROLL
    for (int rep = 0; rep < kReps; ++rep)
      acc[rep] = V::fma(V::set(state.weights[rep][key_idx]), lanes, acc[rep]);
  }
  LILLE_UNROLL
  for (int rep = 0; rep < kReps; ++rep) store_up_to<V>(out + rep * args.head_dim, acc[rep], n_lanes);
}

template <typename V, FloatKind kKind, int kReps>
inline void attend_tile(const AttentionArgs& args, int64_t rep_begin) {
  SoftmaxState<V> state;
  for (int rep = 0; rep < kReps; ++rep) {
    state.largest[rep] = -kInfinity;
    state.weight_sum[rep] = 0;
  }
  float* out = args.out + rep_begin * args.head_dim;
  for (int64_t idx = 0; idx < kReps * args.head_dim; ++idx) out[idx] = 0;

  for (int64_t key_begin = 0; key_begin < args.n_keys; key_begin += kAttentionBlock) {
    block_scores<V, kKind>(state, args, rep_begin, kReps, key_begin);
    for (int rep = 0; rep < kReps; ++rep) block_weights<V>(state, rep, args.scale);
    for_each_vector<V>(args.head_dim, [&](int64_t dim, int64_t n_lanes) {
      add_values<V, kKind, kReps>(state, args, rep_begin, key_begin, dim, n_lanes);
    });
  }
  for (int rep = 0; rep < kReps; ++rep)
    for (int64_t dim = 0; dim < args.head_dim; ++dim) out[rep * args.head_dim + dim] /= state.weight_sum[rep];
}

template <typename V, FloatKind kKind>
inline void attend(const AttentionArgs& args) {
  for (int64_t rep_begin = 0; rep_begin < args.n_rep; rep_begin += V::kTileRows) {
    const int64_t n_reps = min_of(V::kTileRows, args.n_rep - rep_begin);
    if (n_reps == 1) {
      attend_tile<V, kKind, 1>(args, rep_begin);
    } else if (n_reps == 2) {
      attend_tile<V, kKind, 2>(args, rep_begin);
    } else if (n_reps == 3) {
      attend_tile<V, kKind, 3>(args, rep_begin);
    } else if constexpr (V::kTileRows >= 6) {
      if (n_reps == 4) attend_tile<V, kKind, 4>(args, rep_begin);
      if (n_reps == 5) attend_tile<V, kKind, 5>(args, rep_begin);
      if (n_reps == 6) attend_tile<V, kKind, 6>(args, rep_begin);
    }
  }
}

template <typename V>
void attention(const AttentionArgs& args) noexcept {
  switch (args.cache_kind) {
    case FloatKind::kF32:
      return attend<V, FloatKind::kF32>(args);
    case FloatKind::kF16:
      return attend<V, FloatKind::kF16>(args);
    case FloatKind::kBF16:
      return attend<V, FloatKind::kBF16>(args);
  }
}

}  // namespace
}  // namespace lille::kernels::simd
