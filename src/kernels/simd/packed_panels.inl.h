#pragma once

#include "kernels/simd/two_panels.inl.h"

// Products of 8-bit activations with weights that lie packed in their file, panel by panel
// (kernels/kernel_types.h, WeightKind::kPacked).

namespace lille::kernels::simd {
namespace {

/// The scratch memory, from a boundary of cache lines on.
inline Byte* aligned_scratch(const MatmulQ8Args& args) {
  const auto address = reinterpret_cast<uintptr_t>(args.scratch);
  return reinterpret_cast<Byte*>((address + 63) / 64 * 64);
}

/// Panels of WeightKind::kPacked.
template <typename Q, TileForm kForm, FloatKind kScaleKind>
class PackedPanels {
 public:
  explicit PackedPanels(const MatmulQ8Args& args) : args_(args) {}

  void multiply() const {
    int64_t first = args_.out_begin / Q::kOuts * Q::kOuts;
    if constexpr (!HasTileUnit<Q>) {
      if (args_.n_rows == 1) return multiply_row(first);
    }
    if constexpr (MultipliesWords<Q>) {
      if (args_.n_rows >= Q::kTwoPanelsLeastRows)
        return multiply_two_panels<Q>(args_, first / kPackedOuts * kPackedOuts, args_.weight.group_size,
                                      aligned_scratch(args_),
                                      [&](int64_t of) { return PackedPanel(*this, of); });
    }
    for (; first < args_.out_end; first += Q::kOuts) multiply_rows_of(first);
  }

 private:
  using V = typename Q::V;
  using I = typename Q::I;
  using Scales = Floats<V, kScaleKind>;
  static constexpr bool kWide = kForm == TileForm::kWide;
  using Four = FourColumns<Q, kForm>;
  static constexpr int kCorrection = Four::kShift;
  static constexpr int64_t kStep = 4 * kPackedOuts;

  /// A panel as a source of multiply_two_panels.
  class PackedPanel {
   public:
    static constexpr int kBits = kWide ? 8 : 4;
    static constexpr bool kHasBias = true;
    static constexpr int kCorrection = 0;
    const Byte* next;
    int64_t next_bytes;

    PackedPanel(const PackedPanels& panels, int64_t first) : panels_(panels), panel_(panels.panel_of(first)) {
      next_bytes = panels.n_groups_ * panels.group_step_;
      next = panel_ + next_bytes;
    }

    void put_floats(float* scales, float* biases) const {
      for (int64_t group = 0; group < panels_.n_groups_; ++group) {
        const Byte* floats = panels_.scales_of(panel_, group, 0);
        for (int64_t out = 0; out < kPackedOuts; out += Q::kOuts) {
          V::store(scales + group * kPackedOuts + out, Scales::load(floats + out * Scales::kBytes));
          V::store(biases + group * kPackedOuts + out,
                   Scales::load(floats + kToBiases + out * Scales::kBytes));
        }
      }
    }

    void lay_out(Byte* steps, GroupRange groups) const {
      constexpr int kParts = kPackedOuts / Q::kOuts;
      for (int64_t group = groups.begin; group < groups.end; ++group) {
        const Byte* codes = panel_ + group * panels_.group_step_;
        for (const Byte* end = codes + panels_.code_bytes_; codes < end; codes += kStep, steps += 2 * kStep) {
          LILLE_UNROLL
          for (int part = 0; part < kParts; ++part) {
            const I both = Q::load(codes + part * Q::kCodes);
            if constexpr (kWide) {
              put_steps<Q, 8, 0>(steps, part, both);
            } else {
              put_steps<Q, 4, 0>(steps, part, Q::low_halves(both));
              put_steps<Q, 4, 0>(steps + kStep, part, Q::high_halves(both));
            }
          }
        }
      }
    }

   private:
    const PackedPanels& panels_;
    const Byte* panel_;
  };

  const Byte* panel_of(int64_t first) const {
    return static_cast<const Byte*>(args_.weight.data) + first / kPackedOuts * n_groups_ * group_step_;
  }
  /// Of the panel's group, for the outputs from `first` on.
  const Byte* scales_of(const Byte* panel, int64_t group, int64_t first) const {
    return panel + group * group_step_ + code_bytes_ + first % kPackedOuts * Scales::kBytes;
  }
  static constexpr int64_t kToBiases = kPackedOuts * Scales::kBytes;

  void multiply_rows_of(int64_t first) const {
    const Byte* panel = panel_of(first);
    const int64_t panel_bytes = n_groups_ * group_step_;
    TileWeights weights = {.codes = panel + 4 * (first % kPackedOuts),
                           .code_step = kStep,
                           .group_step = group_step_,
                           .scales = scales_of(panel, 0, first),
                           .biases = scales_of(panel, 0, first) + kToBiases,
                           .scale_step = group_step_,
                           .scale_kind = kScaleKind,
                           .n_in = args_.weight.n_in,
                           .group_size = args_.weight.group_size,
                           .correction = kCorrection,
                           .is_stream = true,
                           .next = panel + panel_bytes + panel_bytes * (first % kPackedOuts) / kPackedOuts,
                           .next_bytes = panel_bytes * Q::kOuts / kPackedOuts};
    if constexpr (HasTileUnit<Q> && kForm == TileForm::kNibbles) {
      weights.codes = spread_nibbles(panel);
      weights.group_step = args_.weight.group_size * Q::kOuts;
      weights.is_stream = false;
      multiply_tiles<Q, TileForm::kBytes>(weights, args_.x, args_.n_rows, out_, first);
    } else {
      multiply_tiles<Q, kForm>(weights, args_.x, args_.n_rows, out_, first);
    }
  }

  /// The codes of a panel, a byte each, in scratch memory: units of tiles take no halves.
  const Byte* spread_nibbles(const Byte* panel) const {
    Byte* const spread = aligned_scratch(args_);
    Byte* to = spread;
    for (int64_t group = 0; group < n_groups_; ++group) {
      const Byte* codes = panel + group * group_step_;
      for (int64_t byte = 0; byte < code_bytes_; byte += Q::kCodes, to += 2 * Q::kCodes) {
        if (byte % kPrefetchStep == 0) prefetch_stream(codes + byte);
        const I halves = Q::load(codes + byte);
        Q::store(to, Q::low_halves(halves));
        Q::store(to + Q::kCodes, Q::high_halves(halves));
      }
    }
    return spread;
  }

  /// One row: whole panels where they can be, which are read once, from their beginning to their end.
  void multiply_row(int64_t first) const {
    while (first < args_.out_end) {
      if (first % kPackedOuts == 0 && first + kPackedOuts - Q::kOuts < args_.out_end) {
        multiply_row_parts<kPackedOuts / Q::kOuts>(first);
        first += kPackedOuts;
      } else {
        multiply_row_parts<1>(first);
        first += Q::kOuts;
      }
    }
  }

  /// One row and kParts times Q::kOuts outputs.
  template <int kParts>
  void multiply_row_parts(int64_t first) const {
    const Byte* panel = panel_of(first);
    const int64_t group_size = args_.weight.group_size;
    const int64_t block_stride = args_.x.block_stride;
    const float* x_scales = args_.x.scales;
    const int32_t* x_sums = args_.x.sums;
    const typename Four::X* x_codes = Four::x_of(args_.x);
    typename V::F products[kParts];
    typename V::F biases[kParts];
    LILLE_UNROLL
    for (int part = 0; part < kParts; ++part) products[part] = biases[part] = V::zero();
    for (int64_t group = 0; group < n_groups_; ++group) {
      const Byte* codes = panel + group * group_step_ + 4 * (first % kPackedOuts);
      const Byte* floats = scales_of(panel, group, first);
      typename V::F scales[kParts];
      LILLE_UNROLL
      for (int part = 0; part < kParts; ++part) scales[part] = Scales::load(floats + part * kPartBytes);
      for (int64_t col = 0; col < group_size; col += kQ8Block, x_codes += kQ8Block) {
        I sums[kParts];
        block_sums<kParts>(sums, codes, x_codes, kCorrection == 0 ? 0 : kCorrection * *x_sums);
        LILLE_UNROLL
        for (int part = 0; part < kParts; ++part)
          products[part] =
              V::fma(V::to_float(sums[part]), V::mul(scales[part], V::set(*x_scales)), products[part]);
        codes += kStep * (kForm == TileForm::kNibbles ? 4 : 8);
        x_scales += block_stride;
        x_sums += block_stride;
      }
      LILLE_UNROLL
      for (int part = 0; part < kParts; ++part)
        biases[part] = V::fma(Scales::load(floats + kToBiases + part * kPartBytes),
                              V::set(args_.x.group_sums[group * block_stride]), biases[part]);
    }
    LILLE_UNROLL
    for (int part = 0; part < kParts; ++part)
      store_products<Q>(out_, 0, first + part * Q::kOuts, V::add(products[part], biases[part]));
  }
  static constexpr int64_t kPartBytes = Q::kOuts * Scales::kBytes;  ///< Of the scales, or biases, of a part.

  /// The products of a block of codes. Two sums of each part, so that one need not wait for the other.
  template <int kParts>
  static void block_sums(I (&of_block)[kParts], const Byte* codes, const typename Four::X* x, int begin) {
    constexpr int64_t kAskStep = prefetch_step<V>();
    constexpr int64_t kPairBytes = kForm == TileForm::kNibbles ? kStep : 2 * kStep;
    I sums[kParts][2];
    LILLE_UNROLL
    for (int part = 0; part < kParts; ++part) {
      sums[part][0] = Q::set_int(begin);
      sums[part][1] = Q::set_int(0);
    }
    LILLE_UNROLL
    for (int pair = 0; pair < 4; ++pair, x += 8) {
      LILLE_UNROLL
      for (int64_t byte = pair * kPairBytes % kAskStep; byte < kPairBytes; byte += kAskStep)
        prefetch_stream(codes + byte);
      LILLE_UNROLL
      for (int part = 0; part < kParts; ++part) {
        I even = Q::load(codes + 4 * part * Q::kOuts);
        I odd;
        if constexpr (kForm == TileForm::kNibbles) {
          odd = Q::high_halves(even);
          even = Q::low_halves(even);
        } else {
          odd = Q::load(codes + kStep + 4 * part * Q::kOuts);
        }
        sums[part][0] = Four(even).dot(sums[part][0], x);
        sums[part][1] = Four(odd).dot(sums[part][1], x + 4);
      }
      codes += kPairBytes;
    }
    LILLE_UNROLL
    for (int part = 0; part < kParts; ++part)
      of_block[part] = V::add_int(Four::sums_of(sums[part][0]), Four::sums_of(sums[part][1]));
  }

  const MatmulQ8Args& args_;
  TileOut out_ = {args_.out, args_.out_stride, args_.out_begin, args_.out_end};
  int64_t n_groups_ = args_.weight.n_in / args_.weight.group_size;
  int64_t code_bytes_ = kPackedOuts * args_.weight.group_size / (kForm == TileForm::kNibbles ? 2 : 1);
  int64_t group_step_ = code_bytes_ + 2 * kToBiases;
};

template <typename Q, FloatKind kScaleKind>
void matmul_q8_packed(const MatmulQ8Args& args) {
  if (args.weight.bits == 8) return PackedPanels<Q, TileForm::kWide, kScaleKind>(args).multiply();
  PackedPanels<Q, TileForm::kNibbles, kScaleKind>(args).multiply();
}

}  // namespace
}  // namespace lille::kernels::simd
