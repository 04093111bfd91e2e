#pragma once

#include <memory>
#include <span>

#include "kernels/kernel_table.h"
#include "ops/ops.h"

namespace lille {

/// Something that adds to the output of a linear layer, such as a low-rank update (LoRA, arXiv 2106.09685).
class LinearAdapter {
 public:
  virtual ~LinearAdapter() = default;
  /// out (n_rows, n_out) += its own function of x (n_rows, n_in). Rows must not depend on each other.
  virtual void add_to(ops::Device& device, ops::Rows out, ops::Rows x) const = 0;
};

/// y = x * W^T, and the adapter's part if there is one. The weight is float or quantised: the kernel knows.
struct Linear {
  kernels::WeightMatrix weight;
  std::shared_ptr<const LinearAdapter> adapter;

  void forward(ops::Device& device, ops::Rows out, ops::Rows x) const {
    ops::linear(device, out, x, weight);
    if (adapter) adapter->add_to(device, out, x);
  }
};

/// The token table: rows by id going in, and, since Lille ties them, the output projection going out.
struct Embedding {
  kernels::WeightMatrix weight;

  void forward(ops::Device& device, ops::Rows out, std::span<const int32_t> ids) const {
    ops::embedding(device, out, weight, ids);
  }
  void as_linear(ops::Device& device, ops::Rows out, ops::Rows x) const {
    ops::linear(device, out, x, weight);
  }
};

}  // namespace lille
