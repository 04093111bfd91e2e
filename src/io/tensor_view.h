#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace lille {

/// A tensor inside a mapped file: no copy, valid as long as the file object that gave it.
struct TensorView {
  std::string name;  ///< As in the file: any UTF-8, so messages quote it with printable.
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  ///< Outermost first, counted in elements; empty for a scalar.
  std::span<const std::byte>
      bytes;         ///< Row-major, little-endian, at any address: read it with load_unaligned.
  std::string file;  ///< Path of the file that holds it, printable, for messages.

  int64_t n_elements() const noexcept;
};

/// "(640, 1792)" for messages.
std::string shape_text(std::span<const int64_t> shape);

}  // namespace lille
