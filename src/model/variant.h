#pragma once

#include <memory>

#include "model/export_codes.h"
#include "model/lille.h"

namespace lille {

/// A model with other weights than its files have: the same arguments, tokenizer and rotary layout.
/// @param memory  what the weights of `transformer` point into beside the model's own files.
Model make_variant(const Model& model, Transformer transformer, std::shared_ptr<const void> memory);

/// The same with the given matrices in codes.
/// @param plans  one for each of `codes` at least.
Model with_codes(const Model& model, std::span<const CodesPlan> plans, CodesByName codes);

/// The weight of a matrix of a model, by name ("transformer.layers.0.attention.qkv_proj").
/// @throws Error(kInternal) if it has no such matrix.
std::vector<LinearPart> parts_of(const Transformer& transformer, std::string_view name);

}  // namespace lille
