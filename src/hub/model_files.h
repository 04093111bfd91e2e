#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lille {

/// Whether a name that the hub tells may be used: a relative path that stays in its folder, of printable
/// ASCII or UTF-8, without `..`, `\` or an empty part.
bool is_safe_file_name(std::string_view name) noexcept;

/// Whether a safe name is that of a GGUF file at the top of a repository.
bool is_gguf_name(std::string_view name) noexcept;

/// Of all files of a repository, those to download first: kSideFiles that are there, and what says which
/// files the weights are: `model.safetensors.index.json`, or `model.safetensors` alone.
/// @returns nothing if it is not a repository that a Lille can be loaded from.
std::vector<std::string> first_files(std::span<const std::string> files);

}  // namespace lille
