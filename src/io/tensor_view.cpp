#include "io/tensor_view.h"

#include <fmt/ranges.h>

#include <functional>
#include <numeric>

namespace lille {

int64_t TensorView::n_elements() const noexcept {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

std::string shape_text(std::span<const int64_t> shape) { return fmt::format("({})", fmt::join(shape, ", ")); }

}  // namespace lille
