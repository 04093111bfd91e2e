#pragma once

#include <memory>
#include <optional>

#include "model/model_source.h"

namespace lille {

/// A PyTorch checkpoint as a ModelSource. Its arguments are the file's `model_args`; a file without them, a
/// bare state dict, has them in a config.json beside it.
/// @param path  what was asked for: the file or its folder.
/// @param file  the .pt file.
/// @throws Error as TorchFile; Error(kNotFound) if nothing says the arguments.
std::unique_ptr<const ModelSource> open_torch(const std::filesystem::path& path,
                                              const std::filesystem::path& file);

/// Whether `path` is a file for open_torch: one whose name ends in `.pt` or `.pth`, or pytorch_model.bin.
bool is_torch_file(const std::filesystem::path& path);

/// The checkpoint of a folder that has no safetensors file: `best_model.pt`, else `ckpt_final.pt`.
std::optional<std::filesystem::path> find_torch_file(const std::filesystem::path& folder);

}  // namespace lille
