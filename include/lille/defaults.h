#pragma once

#include <cstdint>
#include <filesystem>

#include "lille/tokenizer.h"

namespace lille {

/// What a folder or file says about how its model wants to be used.
struct GenerationDefaults {
  float temperature = 0.5F;  ///< `temperature` of generation_config.json, else the author's.
  float top_p = 0.95F;       ///< `top_p` of generation_config.json, else the author's.
  int64_t top_k = 0;         ///< `top_k` of generation_config.json; 0: off.
  float min_p = 0;           ///< `min_p` of generation_config.json; 0: off.
  /// `repetition_penalty` of generation_config.json, where it counts all tokens; 1: off.
  float repetition_penalty = 1;
  /// `add_bos_token` of tokenizer_config.json: whether `<|startoftext|>` comes first.
  bool add_bos_token = true;
};

/// Reads what a model, named as by Model::path, says of its use: generation_config.json and
/// tokenizer_config.json of the folder, either of which may be missing, or `general.sampling.*` and
/// `tokenizer.ggml.add_bos_token` of a GGUF file.
/// @throws Error(kCorruptFile) that names the file and the key for a malformed file or a value out of range.
GenerationDefaults load_generation_defaults(const std::filesystem::path& model);

/// Writes generation_config.json for transformers, mlx-lm and load_generation_defaults: how tokens are drawn,
/// and that an answer ends at `<|endoftext|>` or where the user speaks. (add_bos_token stands in
/// tokenizer_config.json: Tokenizer::save.)
/// @throws Error(kNotFound | kIo) if it cannot be written.
void save_generation_defaults(const std::filesystem::path& folder, const GenerationDefaults& defaults,
                              const Tokenizer& tokenizer);

}  // namespace lille
