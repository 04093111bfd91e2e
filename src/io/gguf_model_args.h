#pragma once

#include "io/gguf.h"
#include "lille/model_args.h"

namespace lille {

/// This project's own keys beside llama.cpp's (docs/GGUF.md).
inline constexpr std::string_view kRopeLayoutKey = "lille.rope_layout";
inline constexpr std::string_view kQkPermutedKey = "lille.qk_permuted";
/// rope_theta as an f64, written where llama.rope.freq_base, an f32, cannot hold it.
inline constexpr std::string_view kRopeThetaKey = "lille.rope_theta";

/// The arguments that the metadata of a llama-architecture file give. llama.cpp's defaults hold for what may
/// be absent: head_count_kv, rope.freq_base, rope.dimension_count, and vocab_size, which is the number of
/// tokens.
/// @throws Error(kCorruptFile) that names every missing key at once, or the key with a wrong type or value;
///   Error(kUnsupported) for another architecture, another width of the MLP than Lille's, scaled rotary
///   positions, experts and heads of another width.
ModelArgs model_args_from_gguf(const GgufFile& file);

/// Whether the rows of q and k were permuted for llama.cpp when the file was written: what our own key says,
/// else yes, as every converter of llama.cpp does it.
bool has_permuted_qk(const GgufFile& file);

/// What general.file_type calls the mixture of types, "Q4_K_M"; empty if it is absent or unknown.
std::string_view gguf_file_type_name(const GgufFile& file);

}  // namespace lille
