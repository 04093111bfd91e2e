#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "model/lille.h"

namespace lille {

/// Calls visit(name, parts) for the weight of every matrix.
template <typename AnyTransformer, typename Visit>
void visit_matrices(AnyTransformer& transformer, Visit visit) {
  for (std::size_t idx = 0; idx < transformer.layers.size(); ++idx) {
    auto& block = transformer.layers[idx];
    const std::string prefix = fmt::format("transformer.layers.{}.", idx);
    visit(prefix + "attention.qkv_proj", block.attention.qkv_proj.parts);
    visit(prefix + "attention.out_proj", block.attention.out_proj.parts);
    visit(prefix + "feed_forward.gate_proj", block.feed_forward.gate_proj.parts);
    visit(prefix + "feed_forward.up_proj", block.feed_forward.up_proj.parts);
    visit(prefix + "feed_forward.down_proj", block.feed_forward.down_proj.parts);
  }
}

}  // namespace lille
