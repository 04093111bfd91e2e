#include "lille/model_args.h"

#include <array>

namespace lille {
namespace {

struct LayoutRow {
  RopeLayout layout;
  std::string_view name;
};

constexpr std::array<LayoutRow, 3> kLayouts = {{{RopeLayout::kInterleaved, "interleaved"},
                                                {RopeLayout::kHalf, "half"},
                                                {RopeLayout::kOriginal, "original"}}};

}  // namespace

std::string_view rope_layout_name(RopeLayout layout) noexcept {
  for (const LayoutRow& row : kLayouts)
    if (row.layout == layout) return row.name;
  return "unknown";
}

std::optional<RopeLayout> rope_layout_from_name(std::string_view name) noexcept {
  for (const LayoutRow& row : kLayouts)
    if (row.name == name) return row.layout;
  return std::nullopt;
}

std::optional<LayerQuantization> QuantizationArgs::of_layer(const std::string& path) const {
  const auto found = layers.find(path);
  return found == layers.end() ? LayerQuantization{group_size, bits} : found->second;
}

int64_t ModelArgs::hidden_dim() const noexcept {
  constexpr int64_t kMultiple = 256;
  // Integer division equals int() of Python's float division: the quotient is a multiple of 1/3, and below
  // 2^50 its rounding error is too small to carry it over a whole number.
  const int64_t two_thirds = 8 * n_embd / 3;
  const int64_t n_whole = two_thirds / kMultiple;
  const int64_t remainder = two_thirds % kMultiple;
  const bool rounds_up = remainder > kMultiple / 2 || (remainder == kMultiple / 2 && n_whole % 2 == 1);
  return kMultiple * (n_whole + (rounds_up ? 1 : 0));
}

}  // namespace lille
