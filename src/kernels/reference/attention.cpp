#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/reference/reference.h"

namespace lille::kernels::reference {
namespace {

/// Keys, or values, as a matrix.
WeightMatrix matrix_of(const AttentionArgs& args, const void* data) noexcept {
  return {.kind = args.cache_kind, .data = data, .n_out = args.n_keys, .n_in = args.head_dim};
}

double score(const AttentionArgs& args, const float* query, int64_t key_idx) noexcept {
  double sum = 0;
  for (int64_t dim = 0; dim < args.head_dim; ++dim)
    sum += double{query[dim]} * double{load_weight(matrix_of(args, args.keys), key_idx, dim)};
  return sum * double{args.scale};
}

/// Elements of a head that are summed at once: kernels take no memory of their own but the stack's.
constexpr int64_t kDimsAtOnce = 128;

void attend(const AttentionArgs& args, int64_t rep_idx) noexcept {
  const float* query = args.queries + rep_idx * args.head_dim;
  float* out = args.out + rep_idx * args.head_dim;
  double largest = -std::numeric_limits<double>::infinity();
  for (int64_t key_idx = 0; key_idx < args.n_keys; ++key_idx)
    largest = std::fmax(largest, score(args, query, key_idx));
  for (int64_t dim_begin = 0; dim_begin < args.head_dim; dim_begin += kDimsAtOnce) {
    const int64_t n_dims = std::min(kDimsAtOnce, args.head_dim - dim_begin);
    double weight_sum = 0;
    double sums[kDimsAtOnce] = {};
    for (int64_t key_idx = 0; key_idx < args.n_keys; ++key_idx) {
      const double weight = std::exp(score(args, query, key_idx) - largest);
      weight_sum += weight;
      for (int64_t dim = 0; dim < n_dims; ++dim)
        sums[dim] += weight * double{load_weight(matrix_of(args, args.values), key_idx, dim_begin + dim)};
    }
    for (int64_t dim = 0; dim < n_dims; ++dim)
      out[dim_begin + dim] = static_cast<float>(sums[dim] / weight_sum);
  }
}

}  // namespace

void attention(const AttentionArgs& args) noexcept {
  AttentionArgs row = args;
  for (int64_t row_idx = 0; row_idx < args.n_rows; ++row_idx) {
    for (int64_t rep_idx = 0; rep_idx < args.n_rep; ++rep_idx) attend(row, rep_idx);
    row.out += args.out_stride;
    row.queries += args.query_stride;
    ++row.n_keys;
  }
}

}  // namespace lille::kernels::reference
