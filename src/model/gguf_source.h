#pragma once

#include <memory>

#include "model/model_source.h"

namespace lille {

/// A GGUF file as a ModelSource. @throws Error as GgufFile.
std::unique_ptr<const ModelSource> open_gguf(const std::filesystem::path& path);

/// The model's name for a tensor of a GGUF file: "transformer.layers.3.attention.q_proj.weight" for
/// "blk.3.attn_q.weight"; a name that no Lille has stays what it is.
std::string model_name_of_gguf(std::string_view name);

}  // namespace lille
