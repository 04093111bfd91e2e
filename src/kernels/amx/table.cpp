#include "kernels/amx/bf16.h"
#include "kernels/amx/q8.h"
#include "kernels/simd/matmul.inl.h"
#include "kernels/simd/matmul_q8.inl.h"
#include "kernels/tables.h"

namespace lille::kernels::amx {
namespace {

/// Whether tiles are faster than avx512vnni's rows: where the last tile does not do too many rows again, and,
/// for a panel that must be laid out first, where enough rows share that (Sapphire Rapids: 16 rows of 8 bits
/// run at 553 GOP/s instead of 388 if packed, at 239 instead of 269 if not).
bool takes_tiles(int64_t n_rows, WeightKind kind) {
  if (n_rows < (kind == WeightKind::kPacked ? 16 : 48)) return false;
  const int64_t n_done = (n_rows + kUnitRows - 1) / kUnitRows * kUnitRows;
  return 10 * n_done <= 13 * n_rows;
}

/// Rows of x that meet all panels before the next ones do: as many as stay in the first cache beside a panel
/// that is used where it lies, more where a panel is made for them (packed 8 bits: 552 GOP/s with 32 rows of
/// 640, 480 with 128).
int64_t rows_at_once(const WeightMatrix& weight) {
  constexpr int64_t kCacheBytes = 24 << 10;
  if (weight.kind != WeightKind::kPacked || weight.bits != 8) return 128;
  return kCacheBytes / weight.n_in < 2 * kUnitRows ? kUnitRows
                                                   : kCacheBytes / weight.n_in / kUnitRows * kUnitRows;
}

/// What tiles do not take is left to avx512vnni, whose sums have the same bits.
void matmul_q8(const MatmulQ8Args& args) noexcept {
  if (!takes_tiles(args.n_rows, args.weight.kind)) return avx512vnni::kTable.matmul_q8(args);
  const Tiles tiles(q8_shapes());
  const int64_t n_at_once = rows_at_once(args.weight);
  for (int64_t row = 0; row < args.n_rows; row += n_at_once) {
    const int64_t begin = simd::min_of(row, args.n_rows - kUnitRows);
    MatmulQ8Args part = args;
    part.out = args.out + begin * args.out_stride;
    part.x = args.x.from(begin);
    part.n_rows = simd::min_of(n_at_once, args.n_rows - begin);
    simd::matmul_q8<Q8>(part);
  }
}

/// Adds the rows of a tile to the first lanes of the sink.
template <int kTile>
void add_rows_to(float* sink) {
  alignas(64) int32_t sums[kUnitRows][Q8::kOuts];
  store_tile<kTile>(sums, sizeof(sums[0]));
  for (const auto& row : sums) Q8::store(sink, Q8::V::add_int(Q8::load(sink), Q8::load(row)));
}

/// PeakKernel of codes: tiles of a block of columns, as products use them, whose rows are alike; four chains.
int64_t peak_q8(float* sink, int64_t n_rounds) noexcept {
  const Tiles tiles(q8_shapes());
  const float* zeros = sink + kPeakFloats / 2;
  load_tile<kSums>(zeros, 0);
  load_tile<kSums + 1>(zeros, 0);
  load_tile<kSums + 2>(zeros, 0);
  load_tile<kSums + 3>(zeros, 0);
  load_tile<kX>(sink, 0);
  load_tile<kX + 1>(sink, 0);
  load_tile<kWeights>(sink, 0);
  load_tile<kWeights + 1>(sink, 0);
  for (int64_t round = 0; round < n_rounds; ++round) {
    add_products<kSums, 0, false>();
    add_products<kSums + 1, 1, false>();
    add_products<kSums + 2, 0, false>();
    add_products<kSums + 3, 1, false>();
  }
  add_rows_to<kSums>(sink);
  add_rows_to<kSums + 1>(sink);
  add_rows_to<kSums + 2>(sink);
  add_rows_to<kSums + 3>(sink);
  return n_rounds * 4 * kUnitRows * Q8::kOuts * kQ8Block * 2;
}

void matmul_bf16(const MatmulBf16Args& args) noexcept {
  simd::matmul_tiles<Bf16Unit>(simd::rows_of_type<uint16_t>(args));
}

/// Adds the rows of a tile of floats to the first lanes of the sink.
template <int kTile>
void add_float_rows_to(float* sink) {
  using V = avx512::Vec;
  alignas(64) float sums[kUnitRows][V::kLanes];
  store_tile<kTile>(sums, sizeof(sums[0]));
  for (const auto& row : sums) V::store(sink, V::add(V::load(sink), V::load(row)));
}

/// PeakKernel of bfloat16: the four sums of whole tiles, whose rows are alike.
int64_t peak_bf16(float* sink, int64_t n_rounds) noexcept {
  const simd::TilePair whole = simd::TilePair::of(2 * kUnitRows);
  const Bf16Unit unit(whole.sizes, whole.sizes);
  const float* zeros = sink + kPeakFloats / 2;
  load_tile<0>(zeros, 0);
  load_tile<1>(zeros, 0);
  load_tile<2>(zeros, 0);
  load_tile<3>(zeros, 0);
  load_tile<simd::bf16_weights(0)>(sink, 0);
  load_tile<simd::bf16_weights(1)>(sink, 0);
  load_tile<simd::bf16_x(0)>(sink, 0);
  load_tile<simd::bf16_x(1)>(sink, 0);
  for (int64_t round = 0; round < n_rounds; ++round) {
    Bf16Unit::multiply<0, simd::bf16_weights(0), simd::bf16_x(0)>();
    Bf16Unit::multiply<1, simd::bf16_weights(0), simd::bf16_x(1)>();
    Bf16Unit::multiply<2, simd::bf16_weights(1), simd::bf16_x(0)>();
    Bf16Unit::multiply<3, simd::bf16_weights(1), simd::bf16_x(1)>();
  }
  add_float_rows_to<0>(sink);
  add_float_rows_to<1>(sink);
  add_float_rows_to<2>(sink);
  add_float_rows_to<3>(sink);
  return n_rounds * 4 * kUnitRows * kUnitRows * simd::kBf16TileColumns * 2;
}

}  // namespace

constinit const Kernels kKernels = {
    .q8 = {.words = false, .quantize = simd::quantize_q8<Q8>, .matmul = matmul_q8, .peak = peak_q8},
    .bf16 = {.x_bytes = sizeof(uint16_t),
             .group_rows = simd::kBf16TileRows,
             .round = round_group,
             .matmul = matmul_bf16,
             .peak = peak_bf16}};

}  // namespace lille::kernels::amx
