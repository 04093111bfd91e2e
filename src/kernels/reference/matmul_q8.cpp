#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/reference/reference.h"
#include "kernels/weight_kind.h"

namespace lille::kernels::reference {
namespace {

constexpr uint32_t kInfinityBits = 0x7f800000;

/// Largest |x| of a block, by its bits, in which NaN is larger than infinity.
uint32_t largest_bits(const float* x) noexcept {
  uint32_t largest = 0;
  for (int64_t idx = 0; idx < kQ8Block; ++idx)
    largest = std::max(largest, std::bit_cast<uint32_t>(x[idx]) & 0x7fffffff);
  return largest;
}

}  // namespace

void quantize_q8(const Q8Rows& to, const float* x, int64_t n_in, int64_t group_size) noexcept {
  const int64_t n_blocks = n_in / kQ8Block;
  for (int64_t block = 0; block < n_blocks; ++block) {
    const float* from = x + block * kQ8Block;
    const uint32_t bits = largest_bits(from);
    const auto largest = std::bit_cast<float>(bits);
    const bool is_finite = bits < kInfinityBits;
    const bool is_zero = !is_finite || largest < kQ8Smallest;
    const float inverse = is_zero ? 0.0f : 127.0f / largest;
    int sum = 0;
    for (int64_t idx = 0; idx < kQ8Block; ++idx) {
      const int code = is_zero ? 0 : static_cast<int>(std::nearbyint(from[idx] * inverse));
      to.codes[block * kQ8Block + idx] = static_cast<int8_t>(code);
      sum += code;
    }
    to.sums[block * to.block_stride] = sum;
    to.scales[block * to.block_stride] = !is_finite ? std::numeric_limits<float>::quiet_NaN()
                                         : is_zero  ? 0.0f
                                                    : largest / 127.0f;
  }
  std::fill(to.codes + n_in, to.codes + to.code_stride, int8_t{0});
  for (int64_t group = 0; group < n_in / group_size; ++group) {
    float sum = 0;
    for (int64_t block = group * group_size / kQ8Block; block < (group + 1) * group_size / kQ8Block; ++block)
      sum = std::fma(static_cast<float>(to.sums[block * to.block_stride]), to.scales[block * to.block_stride],
                     sum);
    to.group_sums[group * to.block_stride] = sum;
  }
}

int64_t matmul_q8_scratch_floats(int64_t) noexcept { return 0; }

void matmul_q8(const MatmulQ8Args& args) noexcept {
  const WeightMatrix& weight = args.weight;
  const int64_t group_size = group_size_of(weight);
  for (int64_t row = 0; row < args.n_rows; ++row) {
    const Q8Rows x = args.x.from(row);
    for (int64_t out_idx = args.out_begin; out_idx < args.out_end; ++out_idx) {
      float products = 0;
      for (int64_t begin = 0; begin < weight.n_in; begin += kQ8Block) {
        int sum = 0;
        for (int64_t col = begin; col < begin + kQ8Block; ++col)
          sum += load_coded(weight, out_idx, col).code * x.codes[col];
        const float scale =
            load_coded(weight, out_idx, begin).scale * x.scales[begin / kQ8Block * x.block_stride];
        products = std::fma(static_cast<float>(sum), scale, products);
      }
      float biases = 0;
      for (int64_t begin = 0; begin < weight.n_in; begin += group_size)
        biases = std::fma(load_coded(weight, out_idx, begin).bias,
                          x.group_sums[begin / group_size * x.block_stride], biases);
      args.out[row * args.out_stride + out_idx] = products + biases;
    }
  }
}

}  // namespace lille::kernels::reference
