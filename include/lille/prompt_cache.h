#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "lille/model.h"

namespace lille {

/// Writes a cache to a file: its tokens, its keys and values at their positions, in its own type, and what
/// they belong to (docs/GENERATION.md). The file appears whole or not at all.
/// @throws Error(kNotFound | kInvalidArgument | kIo) if the file cannot be written there.
/// Source: mlx_lm/models/cache.py save_prompt_cache.
void save_prompt_cache(const std::filesystem::path& path, const PromptCache& cache);

/// What load_prompt_cache accepts besides the model.
struct LoadPromptCacheOptions {
  std::optional<CacheType> type;  ///< Refuse another; empty: the file says.
  std::string kernels;  ///< Refuse what another table filled, as Session::forward would; empty: any.
};

/// Reads what save_prompt_cache wrote. Reads all weights of the model to compare them.
/// @throws Error(kNotFound | kIo); Error(kInvalidArgument) for a cache of other weights, another rotary
/// layout,
///   type or kernel table, or more tokens than block_size; Error(kUnsupported) for a newer format;
///   Error(kCorruptFile) for what is no prompt cache or a damaged one. Each names the file, the field, what
///   was expected and what was found.
/// Source: mlx_lm/models/cache.py load_prompt_cache.
PromptCache load_prompt_cache(const std::filesystem::path& path, const Model& model,
                              const LoadPromptCacheOptions& options = {});

/// Number of tokens at the beginning of a prompt that need not be read again: those it has in common with the
/// cache, at most all but its last, since somebody wants logits.
int64_t reusable_prefix(const PromptCache& cache, std::span<const int32_t> prompt) noexcept;

/// Forgets what a cache holds beyond reusable_prefix.
/// @param prompt  other memory than cache.tokens(), whose end is forgotten.
/// @return the tokens that are to be read after it: the rest of `prompt`.
std::span<const int32_t> reuse_prefix(PromptCache& cache, std::span<const int32_t> prompt) noexcept;

}  // namespace lille
