#pragma once

#include <cstdint>
#include <string_view>

namespace lille::kernels {

/// How a weight matrix is stored. Rows are outputs (y = x * W^T); addresses need no alignment.
enum class WeightKind {
  kF32,
  kF16,
  kBF16,
  kAffine,  ///< MLX: codes of 2, 3, 4, 5, 6 or 8 bits; a scale and a bias for each group, in arrays of their
            ///< own.
  /// kAffine with codes of 8 or 4 bits in panels of kPackedOuts outputs, which products read in the order of
  /// addresses. A panel is its groups one after the other; a group is the codes of four columns after four,
  /// output by output (8 bits: a byte each; 4 bits: two such sets in a byte, the first in the low halves),
  /// then its scales and its biases.
  kPacked,
  // GGUF's blocks: codes and scales together (kernels/block_formats.h).
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ4_K,
  kQ5_K,
  kQ6_K,
};

/// Element type of the scales and biases of a quantised matrix, and of the weights of a norm.
enum class FloatKind { kF32, kF16, kBF16 };

/// A weight matrix (n_out, n_in) inside a mapped file.
struct WeightMatrix {
  WeightKind kind = WeightKind::kF32;
  /// Row-major. For kAffine each row is one stream of codes, the first in the lowest bits of the first byte;
  /// for blocks n_in is a multiple of the block's weights.
  const void* data = nullptr;
  int64_t n_out = 0;
  int64_t n_in = 0;
  // Only for kAffine and kPacked: weight = scale * code + bias, rounded once to float32 (one fused
  // multiply-add).
  int64_t bits = 0;              ///< Bits of a code.
  const void* scales = nullptr;  ///< (n_out, n_in / group_size); null for kPacked, whose panels have them.
  const void* biases = nullptr;  ///< (n_out, n_in / group_size); null for kPacked.
  FloatKind scale_kind = FloatKind::kF32;
  int64_t group_size = 0;  ///< 32, 64 or 128; divides n_in.
};

/// Columns [out_begin, out_end) of out = x * W^T for all rows of x, whose elements are of type X.
template <typename X>
struct MatmulArgsOf {
  float* out = nullptr;  ///< (n_rows, n_out), rows out_stride apart
  int64_t out_stride = 0;
  const X* x = nullptr;  ///< (n_rows, n_in), rows x_stride elements apart
  int64_t x_stride = 0;
  int64_t n_rows = 0;
  WeightMatrix weight;
  int64_t out_begin = 0;
  int64_t out_end = 0;
  float* scratch = nullptr;  ///< matmul_scratch_floats(n_in) floats of the calling thread's own.
};
using MatmulArgs = MatmulArgsOf<float>;
/// Rows that Bf16Kernels::round wrote, in the type and the order that the table has for them; group by group.
using MatmulBf16Args = MatmulArgsOf<void>;

/// Columns of activations that share a scale when they are rounded to 8 bits.
inline constexpr int64_t kQ8Block = 32;
/// Rows of 8-bit codes are padded with zeros to a multiple of this.
inline constexpr int64_t kQ8Padding = 64;

/// Blocks whose largest |x| is below this become zeros: 127 divided by it is still finite.
inline constexpr float kQ8Smallest = 0x1p-100f;

/// Rows of activations (n_rows, n_in) rounded to 8 bits: x = scale * code within each block of kQ8Block. What
/// belongs to blocks stands block by block, so that the rows of a tile stand together.
struct Q8Rows {
  int8_t* codes = nullptr;  ///< (n_rows, code_stride), from -127 to 127
  /// (n_rows, code_stride), only where KernelTable::q8_words: the same in 16 bits, of each four columns the
  /// first, the third, the second and the fourth, so that masking and shifting bytes of weights meet them.
  int16_t* words = nullptr;
  int64_t code_stride = 0;   ///< n_in rounded up to a multiple of kQ8Padding.
  int64_t block_stride = 0;  ///< From the values of one block to those of the next; at least n_rows.
  float* scales = nullptr;   ///< (n_in / kQ8Block, n_rows); NaN for a block with NaN or infinity.
  int32_t* sums = nullptr;   ///< (n_in / kQ8Block, n_rows): the sum of a block's codes.
  /// (n_in / group_size, n_rows): the sum of scale * sum over the blocks of a group, for weights with biases.
  float* group_sums = nullptr;

  /// The same from row `row` on.
  Q8Rows from(int64_t row) const noexcept {
    return {codes + row * code_stride,
            words == nullptr ? nullptr : words + row * code_stride,
            code_stride,
            block_stride,
            scales + row,
            sums + row,
            group_sums + row};
  }
};

/// Outputs of a panel of WeightKind::kPacked.
inline constexpr int64_t kPackedOuts = 16;

/// Columns [out_begin, out_end) of out = x * W^T for rows of 8-bit activations and a matrix of codes.
struct MatmulQ8Args {
  float* out = nullptr;  ///< (n_rows, n_out), rows out_stride apart
  int64_t out_stride = 0;
  Q8Rows x;
  int64_t n_rows = 0;
  WeightMatrix weight;  ///< takes_q8(weight.kind)
  int64_t out_begin = 0;
  int64_t out_end = 0;
  float* scratch = nullptr;  ///< matmul_q8_scratch_floats(n_in) floats of the calling thread's own.
};

/// Query rows that share what a kernel makes of a block of keys, at most.
inline constexpr int64_t kAttentionRows = 16;

/// Attention of query rows at consecutive positions over a cache, for the n_rep query heads that share one
/// key/value head.
struct AttentionArgs {
  float* out = nullptr;            ///< (n_rows, n_rep, head_dim), rows out_stride apart
  const float* queries = nullptr;  ///< (n_rows, n_rep, head_dim), rows query_stride apart
  const void* keys = nullptr;      ///< (keys seen, head_dim) of this kv head, contiguous, position 0 first
  const void* values = nullptr;    ///< (keys seen, head_dim)
  WeightKind cache_kind = WeightKind::kF32;  ///< How both are stored: takes_attention(cache_kind).
  int64_t n_rows = 1;
  int64_t out_stride = 0;
  int64_t query_stride = 0;
  int64_t n_rep = 0;
  int64_t n_keys = 0;  ///< That the first row sees, its position + 1, at least 1; each further row one more.
  int64_t head_dim = 0;
  float scale = 0;  ///< 1 / sqrt(head_dim)
};

/// Keys of one step of attention. Blocks begin at multiples of it, at absolute positions, so that the order
/// of accumulation of a row depends on its position alone.
inline constexpr int64_t kAttentionBlock = 32;

/// Elements of the memory that a PeakKernel reads and writes.
inline constexpr int64_t kPeakFloats = 64;

/// Multiplies and adds in registers as fast as a unit can: what the products of a table are measured against.
/// `sink` has kPeakFloats elements, so that no compiler leaves the work out: the factors, to which the sums
/// are added in the end, then from its middle on what the sums begin with, zeros.
/// @return the operations done, a multiplication and an addition counted as two.
using PeakKernel = int64_t (*)(float* sink, int64_t n_rounds) noexcept;

/// Rows of activations in bfloat16 are n_in elements rounded up to a multiple of this.
inline constexpr int64_t kBf16Padding = 32;

/// Products of activations that are rounded to bfloat16 with weights of kBF16.
struct Bf16Kernels {
  /// Bytes of a rounded activation: 2 where the processor multiplies bfloat16 by itself, else 4, the rounded
  /// value as float32.
  int64_t x_bytes;
  /// Rows that are rounded together, because they may lie interleaved: one after the other if 1. Groups begin
  /// at multiples of it; only the last may have fewer. A row alone lies in the order of its columns.
  int64_t group_rows;
  /// Rounds n_rows <= group_rows rows of n_in activations, x_stride apart, to nearest, ties to even; NaN
  /// stays NaN; subnormal numbers may become zero. The group takes n_rows * to_stride elements from `to` on,
  /// which is on a 64-byte boundary; to_stride is a multiple of kBf16Padding and at least n_in.
  void (*round)(void* to, int64_t to_stride, const float* x, int64_t x_stride, int64_t n_rows,
                int64_t n_in) noexcept;
  /// KernelTable::matmul over groups that `round` wrote; x_stride is its to_stride.
  void (*matmul)(const MatmulBf16Args& args) noexcept;
  PeakKernel peak;  ///< Of the unit that matmul uses; null for the reference.
};

/// Products of 8-bit activations: what a set has that is better than the table of another.
struct Q8Kernels {
  bool words;  ///< KernelTable::q8_words
  /// KernelTable::quantize_q8
  void (*quantize)(const Q8Rows& to, const float* x, int64_t n_in, int64_t group_size) noexcept;
  void (*matmul)(const MatmulQ8Args& args) noexcept;  ///< KernelTable::matmul_q8
  PeakKernel peak;                                    ///< KernelTable::peak_q8, and peak_q4
};

/// The compute functions of one instruction set. All are noexcept, trust their arguments and may be called
/// from any number of threads. Within one table every output element has one order of accumulation, whatever
/// n_rows, the column range and the thread are (ARCHITECTURE.md, "One answer").
struct KernelTable {
  std::string_view name;               ///< Such as "avx2": dispatch.cpp has them all.
  std::string_view required_features;  ///< What the processor must have, for people to read; empty for none.

  /// Floats of scratch that matmul needs for rows of n_in.
  int64_t (*matmul_scratch_floats)(int64_t n_in) noexcept;
  /// out[:, out_begin:out_end] = x * W[out_begin:out_end]^T.
  void (*matmul)(const MatmulArgs& args) noexcept;
  PeakKernel
      peak_f32;  ///< Of the unit that matmul uses; null for the reference, which is not meant to be fast.
  PeakKernel peak_q8;  ///< Of the unit that matmul_q8 uses; null for the reference.
  PeakKernel peak_q4;  ///< The same for kPacked codes of 4 bits, more than other codes below 8 bits reach.
  Bf16Kernels bf16;
  bool q8_words;  ///< Whether quantize_q8 writes Q8Rows::words and matmul_q8 reads them.
  /// Rounds one row of n_in activations to 8 bits into the first row of `to`.
  void (*quantize_q8)(const Q8Rows& to, const float* x, int64_t n_in, int64_t group_size) noexcept;
  /// Floats of scratch that matmul_q8 needs for rows of n_in.
  int64_t (*matmul_q8_scratch_floats)(int64_t n_in) noexcept;
  /// matmul over 8-bit activations. Products of codes are summed as integers block by block, and a block adds
  /// fma(sum, weight's scale * x's scale, before), first to last, then the biases' part in the same way:
  /// every table gives the same bits.
  void (*matmul_q8)(const MatmulQ8Args& args) noexcept;
  /// Row `row` of the matrix as float32: out (n_in). The embedding's lookup.
  void (*dequantize_row)(float* out, const WeightMatrix& weight, int64_t row) noexcept;
  /// out = x / sqrt(mean(x^2) + eps) * weight over one row of n; out may be x. weight has the kind given.
  void (*rms_norm)(float* out, const float* x, const void* weight, FloatKind weight_kind, int64_t n,
                   float eps) noexcept;
  /// out = silu(gate) * up, elementwise, silu(x) = x / (1 + exp(-x)), 0 at -infinity; out may be gate or up.
  void (*swiglu)(float* out, const float* gate, const float* up, int64_t n) noexcept;
  /// x += y, elementwise.
  void (*add)(float* x, const float* y, int64_t n) noexcept;
  /// Softmax attention, one pass over the keys in blocks of kAttentionBlock (online softmax).
  void (*attention)(const AttentionArgs& args) noexcept;
  /// log(sum(exp(x))) over n; the sum is kept in double. -infinity if all are, NaN if one is.
  double (*log_sum_exp)(const float* x, int64_t n) noexcept;
  /// Index of the largest of n; the lowest of equals; NaN never wins. 0 if all are NaN.
  int64_t (*argmax)(const float* x, int64_t n) noexcept;
};

}  // namespace lille::kernels
