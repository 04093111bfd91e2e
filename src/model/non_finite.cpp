#include "model/non_finite.h"

#include <fmt/format.h>

#include <vector>

#include "base/text.h"
#include "kernels/kernel_types.h"

namespace lille {
namespace {

// Unsigned comparison of the bits without the sign finds NaN and infinity and, having no branch, compiles to
// vectors.
template <typename Bits>
bool has_non_finite(std::span<const std::byte> bytes, Bits magnitude_mask, Bits exponent_mask) {
  Bits found = 0;
  for (std::size_t offset = 0; offset + sizeof(Bits) <= bytes.size(); offset += sizeof(Bits)) {
    const auto magnitude = static_cast<Bits>(load_unaligned<Bits>(bytes.data() + offset) & magnitude_mask);
    found |= static_cast<Bits>(magnitude >= exponent_mask);
  }
  return found != 0;
}

// Where the half-precision scale of a block stands, and its minimum if it has one.
std::vector<std::size_t> half_offsets(DType dtype) {
  switch (dtype) {
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    case DType::kQ6_K:
      return {208};
    default:
      return {0};
  }
}

bool has_non_finite_block(const TensorView& view) {
  const auto block_bytes = static_cast<std::size_t>(dtype_bytes(view.dtype));
  for (const std::size_t first : half_offsets(view.dtype))
    for (std::size_t offset = first; offset < view.bytes.size(); offset += block_bytes)
      if ((load_unaligned<uint16_t>(view.bytes.data() + offset) & 0x7fffu) >= 0x7c00u) return true;
  return false;
}

bool has_non_finite(const TensorView& view) {
  if (view.dtype == DType::kF32) return has_non_finite<uint32_t>(view.bytes, 0x7fffffffu, 0x7f800000u);
  if (view.dtype == DType::kBF16) return has_non_finite<uint16_t>(view.bytes, 0x7fffu, 0x7f80u);
  if (view.dtype == DType::kF16) return has_non_finite<uint16_t>(view.bytes, 0x7fffu, 0x7c00u);
  return dtype_block_elements(view.dtype) > 1 && has_non_finite_block(view);
}

// The scales and biases inside the panels of a packed matrix.
bool has_non_finite_panel(const StoredTensor& tensor) {
  const LayerQuantization& setting = tensor.quantization.value();
  TensorView floats = *tensor.weight;
  floats.dtype = tensor.packed_scales.value();
  const int64_t code_bytes = kernels::kPackedOuts * setting.group_size * setting.bits / 8;
  const int64_t float_bytes = 2 * kernels::kPackedOuts * dtype_bytes(floats.dtype);
  const std::span<const std::byte> panels = tensor.weight->bytes;
  for (auto at = static_cast<std::size_t>(code_bytes); at < panels.size();
       at += static_cast<std::size_t>(code_bytes + float_bytes)) {
    floats.bytes = panels.subspan(at, static_cast<std::size_t>(float_bytes));
    if (has_non_finite(floats)) return true;
  }
  return false;
}

struct Checked {
  const StoredTensor* tensor;
  const TensorView* view;
};

bool has_non_finite(const Checked& checked) {
  return checked.tensor->packed_scales ? has_non_finite_panel(*checked.tensor)
                                       : has_non_finite(*checked.view);
}

}  // namespace

void warn_of_non_finite(ThreadPool& pool, std::span<const Parameter> parameters,
                        const WarningCallback& on_warning) {
  if (!on_warning) return;
  std::vector<Checked> views;
  for (const Parameter& parameter : parameters)
    for (const StoredTensor& tensor : parameter.tensors)
      for (const TensorView* view : {tensor.weight, tensor.scales, tensor.biases})
        if (view != nullptr) views.push_back({&tensor, view});
  std::vector<char> is_bad(views.size(), 0);
  pool.run(static_cast<int64_t>(views.size()),
           [&](int64_t view_idx, int64_t) { is_bad[view_idx] = has_non_finite(views[view_idx]) ? 1 : 0; });
  for (std::size_t view_idx = 0; view_idx < views.size(); ++view_idx)
    if (is_bad[view_idx] != 0)
      on_warning(
          fmt::format("{}: {} contains NaN or infinite values; what the model computes is meaningless. "
                      "Hint: is the file damaged, or did its training diverge?",
                      views[view_idx].view->file, printable(views[view_idx].view->name)));
}

}  // namespace lille
