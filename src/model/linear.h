#pragma once

#include <memory>
#include <span>
#include <vector>

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

/// Some outputs of a linear layer, whose weight is one tensor of a file.
struct LinearPart {
  kernels::WeightMatrix weight;  ///< (n_out of the part, n_in), float or quantised: the kernel knows.
  /// Not 0: the rows are heads of this width in llama.cpp's order, which the outputs do not keep.
  int64_t permuted_head_dim = 0;
};

/// y = x * W^T, and the adapter's part if there is one. W is the parts, one below the other: a single one, or
/// queries, keys and values as GGUF files have them.
struct Linear {
  std::vector<LinearPart> parts;
  std::shared_ptr<const LinearAdapter> adapter;

  void forward(ops::Device& device, ops::Rows out, ops::Rows x) const {
    std::vector<ops::Product> products;
    products.reserve(parts.size());
    add_products(products, out);
    ops::linear(device, products, x);
    finish(device, out, x);
  }
  /// forward of two layers that read the same x, at once.
  static void forward_both(ops::Device& device, const Linear& a, ops::Rows a_out, const Linear& b,
                           ops::Rows b_out, ops::Rows x) {
    std::vector<ops::Product> products;
    products.reserve(a.parts.size() + b.parts.size());
    a.add_products(products, a_out);
    b.add_products(products, b_out);
    ops::linear(device, products, x);
    a.finish(device, a_out, x);
    b.finish(device, b_out, x);
  }

 private:
  void add_products(std::vector<ops::Product>& products, ops::Rows out) const {
    int64_t n_done = 0;
    for (const LinearPart& part : parts) {
      products.push_back({out.columns(n_done, part.weight.n_out), &part.weight});
      n_done += part.weight.n_out;
    }
  }
  void finish(ops::Device& device, ops::Rows out, ops::Rows x) const {
    int64_t n_done = 0;
    for (const LinearPart& part : parts) {
      if (part.permuted_head_dim != 0)
        ops::unpermute_heads(device, out.columns(n_done, part.weight.n_out), part.permuted_head_dim);
      n_done += part.weight.n_out;
    }
    if (adapter) adapter->add_to(device, out, x);
  }
};

/// The token table: rows by id going in, and, since Lille ties them, the output projection going out.
struct Embedding {
  kernels::WeightMatrix weight;

  void forward(ops::Device& device, ops::Rows out, std::span<const int32_t> ids) const {
    ops::embedding(device, out, weight, ids);
  }
  /// Nothing after it evens out what rounding does to logits, and few rows get any: x is rounded closely.
  void as_linear(ops::Device& device, ops::Rows out, ops::Rows x) const {
    ops::linear(device, out, x, weight, ops::Rounding::kClose);
  }
};

}  // namespace lille
