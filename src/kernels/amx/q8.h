#pragma once

#include "kernels/amx/tiles.h"
#include "kernels/avx512vnni/q8.h"
#include "kernels/simd/tile_q8.inl.h"

namespace lille::kernels::amx {
namespace {

// The tile registers, by what every product keeps in them; blocks take turns, even and odd.
constexpr int kSums = 0;
constexpr int kX = 4;
constexpr int kWeights = 6;

/// The shapes of what every product keeps in tiles.
inline TileShapes q8_shapes() {
  TileShapes shapes;
  for (int tile = kSums; tile < kX; ++tile) shapes.set(tile, kUnitRows, 64);
  for (const int parity : {0, 1}) {
    shapes.set(kX + parity, kUnitRows, kQ8Block);
    shapes.set(kWeights + parity, kQ8Block / 4, 64);
  }
  return shapes;
}

/// Adds the products of signed x and of codes that are signed or not to the sums of a tile.
template <int kTile, int kParity, bool kSigned>
inline void add_products() {
  if constexpr (kSigned) {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kTile), "i"(kX + kParity),
                 "i"(kWeights + kParity));
  } else {
    asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kTile), "i"(kX + kParity),
                 "i"(kWeights + kParity));
  }
}
template <int kParity, bool kSigned>
inline void multiply_tile() {
  zero_tile<kSums + kParity>();
  add_products<kSums + kParity, kParity, kSigned>();
}

/// kUnitRows rows of x against a panel that is laid out. While the unit sums a block, the sums of the last
/// one go to memory, where they meet vectors, and those of the one before are scaled and added: a store that
/// waits for the unit would hold up what comes behind it.
template <bool kSigned>
class TileProduct {
 public:
  TileProduct(const simd::TileWeights& weights, const Q8Rows& x, int64_t row_idx)
      : weights_(weights),
        x_(x.from(row_idx)),
        codes_(weights.codes),
        n_blocks_(weights.n_in / kQ8Block),
        group_shift_(__builtin_ctzll(static_cast<unsigned long long>(weights.group_size / kQ8Block))),
        group_mask_((int64_t{1} << group_shift_) - 1),
        group_gap_(weights.group_step - weights.group_size * kOuts),
        asks_ahead_(weights.is_stream && row_idx == 0) {}

  void store(const simd::TileOut& out, int64_t row_idx, int64_t first) {
    alignas(64) int32_t sums[2][kUnitRows * kOuts];
    F products[kUnitRows];
    LILLE_UNROLL
    for (int row = 0; row < kUnitRows; ++row) products[row] = V::zero();
    for (int64_t block = 0; block < n_blocks_ + 2; block += 2) {
      step<0>(block, sums, products);
      step<1>(block + 1, sums, products);
    }
    if (weights_.biases != nullptr) add_biases(products);
    LILLE_UNROLL
    for (int row = 0; row < kUnitRows; ++row)
      simd::store_products<avx512vnni::Q8>(out, row_idx + row, first, products[row]);
  }

 private:
  using V = avx512::Vec;
  using F = V::F;
  static constexpr int kOuts = avx512vnni::Q8::kOuts;
  static constexpr int64_t kRowBytes = 64;
  static constexpr int64_t kBlockBytes = kQ8Block * kOuts;

  /// Sums the block, stores the sums of the one before and adds those of the one before that, as far as there
  /// are such; interleaved, so that each unit has work.
  template <int kParity>
  void step(int64_t block, int32_t (&sums)[2][kUnitRows * kOuts], F (&products)[kUnitRows]) {
    const bool sums_up = block < n_blocks_;
    const bool adds = block >= 2 && block - 2 < n_blocks_;
    if (adds) load_scales(block - 2);
    if (sums_up && adds) {
      add_rows<0>(products, sums[kParity], block - 2);
      load_tile<kX + kParity>(x_.codes + block * kQ8Block, x_.code_stride);
      add_rows<4>(products, sums[kParity], block - 2);
      load_weights<kParity>(block);
      add_rows<8>(products, sums[kParity], block - 2);
      multiply_tile<kParity, kSigned>();
      add_rows<12>(products, sums[kParity], block - 2);
      store_tile<kSums + 1 - kParity>(sums[1 - kParity], kRowBytes);
      return;
    }
    if (sums_up) {
      load_tile<kX + kParity>(x_.codes + block * kQ8Block, x_.code_stride);
      load_weights<kParity>(block);
      multiply_tile<kParity, kSigned>();
    }
    if (block >= 1 && block - 1 < n_blocks_) store_tile<kSums + 1 - kParity>(sums[1 - kParity], kRowBytes);
    if (adds) {
      add_rows<0>(products, sums[kParity], block - 2);
      add_rows<4>(products, sums[kParity], block - 2);
      add_rows<8>(products, sums[kParity], block - 2);
      add_rows<12>(products, sums[kParity], block - 2);
    }
  }

  template <int kParity>
  void load_weights(int64_t block) {
    if (asks_ahead_)
      for (int64_t byte = 0; byte < kBlockBytes; byte += simd::kPrefetchStep)
        simd::prefetch_stream(codes_ + byte);
    load_tile<kWeights + kParity>(codes_, kRowBytes);
    codes_ += kBlockBytes;
    if (((block + 1) & group_mask_) == 0) codes_ += group_gap_;
  }

  void load_scales(int64_t block) {
    if ((block & group_mask_) == 0)
      scales_ = simd::load_floats<V>(weights_.scales + (block >> group_shift_) * weights_.scale_step,
                                     weights_.scale_kind);
  }

  /// Four rows from kFirst on.
  template <int kFirst>
  void add_rows(F (&products)[kUnitRows], const int32_t* sums, int64_t block) const {
    const float* x_scales = x_.scales + block * x_.block_stride;
    LILLE_UNROLL
    for (int row = kFirst; row < kFirst + 4; ++row)
      products[row] = V::fma(V::to_float(_mm512_load_si512(sums + row * kOuts)),
                             V::mul(scales_, V::set(x_scales[row])), products[row]);
  }

  void add_biases(F (&products)[kUnitRows]) const {
    F biases[kUnitRows];
    LILLE_UNROLL
    for (int row = 0; row < kUnitRows; ++row) biases[row] = V::zero();
    const int64_t n_groups = n_blocks_ >> group_shift_;
    for (int64_t group = 0; group < n_groups; ++group) {
      const F bias = simd::load_floats<V>(weights_.biases + group * weights_.scale_step, weights_.scale_kind);
      const float* group_sums = x_.group_sums + group * x_.block_stride;
      LILLE_UNROLL
      for (int row = 0; row < kUnitRows; ++row)
        biases[row] = V::fma(bias, V::set(group_sums[row]), biases[row]);
    }
    LILLE_UNROLL
    for (int row = 0; row < kUnitRows; ++row) products[row] = V::add(products[row], biases[row]);
  }

  const simd::TileWeights& weights_;
  Q8Rows x_;
  const simd::Byte* codes_;
  int64_t n_blocks_;
  int group_shift_;  ///< Blocks of a group, as a power of two.
  int64_t group_mask_;
  int64_t group_gap_;  ///< Bytes between the codes of two groups.
  bool asks_ahead_;
  F scales_ = V::zero();
};

/// The primitives of avx512vnni, with products of whole tiles. Tiles must be there, and kLeastRows rows.
struct Q8 : avx512vnni::Q8 {
  static constexpr int64_t kLeastRows = kUnitRows;

  /// Each byte less kOffset.
  template <int kOffset>
  static I sub_bytes(I bytes) {
    return _mm512_sub_epi8(bytes, _mm512_set1_epi8(static_cast<char>(kOffset)));
  }

  /// All rows of x against a panel of bytes. The last tile goes back over rows that are done where too few
  /// are left.
  template <simd::TileForm kForm>
  static void multiply_tiles(const simd::TileWeights& weights, const Q8Rows& x, int64_t n_rows,
                             const simd::TileOut& out, int64_t first) {
    for (int64_t row = 0; row < n_rows; row += kUnitRows) {
      const int64_t begin = simd::min_of(row, n_rows - kUnitRows);
      TileProduct<kForm == simd::TileForm::kSigned>(weights, x, begin).store(out, begin, first);
    }
  }
};

}  // namespace
}  // namespace lille::kernels::amx
