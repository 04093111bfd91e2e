#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lille {

/// How a rotary embedding pairs the elements of a head (REFERENCE: docs/ROPE.md). With a_j = pos *
/// theta^(-2j/d):
enum class RopeLayout {
  kInterleaved,  ///< (x[2j], x[2j+1]) turned by a_j: mlx-lm's nn.RoPE(traditional=True).
  kHalf,         ///< (x[j], x[j+d/2]) turned by a_j: the author's GGUF files in llama.cpp.
  kOriginal,  ///< x[j]*cos a_j - x[2j+1]*sin a_j and x[j+d/2]*cos a_j + x[2j]*sin a_j: the author's model.py.
};

/// "interleaved", "half" or "original".
std::string_view rope_layout_name(RopeLayout layout) noexcept;

/// The inverse of rope_layout_name; nothing for an unknown name.
std::optional<RopeLayout> rope_layout_from_name(std::string_view name) noexcept;

/// How one layer is quantised in MLX's affine form: value = scale * code + bias over groups along a row.
struct LayerQuantization {
  int64_t group_size = 64;  ///< Consecutive weights of a row that share a scale and a bias: 32, 64 or 128.
  int64_t bits = 8;         ///< Bits of a code: 2, 3, 4, 5, 6 or 8.

  bool operator==(const LayerQuantization&) const = default;
};

/// The `quantization` object of an MLX config.json: the setting of all quantised layers, and exceptions.
struct QuantizationArgs {
  /// Version of the layout that packed matrices have.
  static constexpr int64_t kPackingVersion = 1;

  int64_t group_size = 64;  ///< As in LayerQuantization, for layers that are not named in `layers`.
  int64_t bits = 8;         ///< As in LayerQuantization, for layers that are not named in `layers`.
  /// Layers with a setting of their own, by path ("transformer.layers.0.attention.qkv_proj"); nothing for one
  /// that is not quantised.
  std::map<std::string, std::optional<LayerQuantization>> layers = {};

  /// Not empty: matrices are packed, as `lille convert --pack` writes them, with scales of this type: "F32",
  /// "F16" or "BF16". The key `packing` is this project's own.
  std::string packed_scales = {};

  /// The setting of a layer, by path; nothing if the config says that it is not quantised.
  std::optional<LayerQuantization> of_layer(const std::string& path) const;

  bool operator==(const QuantizationArgs&) const = default;
};

/// The fields of config.json under mlx-lm's names, and the sizes that follow from them.
/// Source: mlx_lm/models/lille-130m.py ModelArgs.
struct ModelArgs {
  /// Widest head that is computed.
  static constexpr int64_t kMaxHeadDim = 4096;

  std::string model_type;           ///< "lille-130m".
  int64_t block_size = 0;           ///< Longest context, tokens.
  float layer_norm_eps = 0;         ///< Added to the mean square in RMSNorm.
  int64_t n_embd = 0;               ///< Width of the residual stream.
  int64_t n_head = 0;               ///< Query heads.
  int64_t n_kv_heads = 0;           ///< Key/value heads; n_head is a multiple of it.
  int64_t n_layer = 0;              ///< Blocks.
  double rope_theta = 0;            ///< Base of the rotary frequencies.
  int64_t vocab_size = 0;           ///< Rows of the embedding, and so logits of a token.
  bool tie_word_embeddings = true;  ///< Always true for Lille: the output projection is the embedding.

  std::optional<RopeLayout> rope_layout;         ///< This project's own key; no other writer names it.
  std::optional<QuantizationArgs> quantization;  ///< Present in MLX-quantised folders.

  /// Width of one head: n_embd / n_head.
  int64_t head_dim() const noexcept { return n_embd / n_head; }
  /// Query heads that read one key/value head: query head h reads kv head h / n_rep().
  int64_t n_rep() const noexcept { return n_head / n_kv_heads; }
  /// Elements of all queries of a token.
  int64_t q_size() const noexcept { return n_head * head_dim(); }
  /// Elements of all keys, and of all values, of a token.
  int64_t kv_size() const noexcept { return n_kv_heads * head_dim(); }
  /// Inner width of the MLP, which no config names: 256 * round(int(8 * n_embd / 3) / 256).
  /// Two thirds of the classic 4 * n_embd, since SwiGLU has three matrices where a plain MLP has two and the
  /// count of parameters shall stay the same; then the nearest multiple of 256, which tiles well. Halves go
  /// to the even multiple, as Python's round does: 640 gives 1792, 240 gives 512 (2.5 * 256), 48 gives 0 (0.5
  /// * 256), which from_json refuses. Source: mlx_lm/models/lille-130m.py Lille130mMLP. (The author's GGUF
  /// export rounds up; equal at 640.)
  int64_t hidden_dim() const noexcept;

  /// Reads the text of a config.json.
  /// Unknown keys are ignored, as BaseModelArgs.from_dict does; only tie_word_embeddings has a default.
  /// Understood beside mlx-lm's form: `n_layers` and `n_heads` (the training code's names; such a config has
  /// no model_type, which then is "lille-130m"), a nested `rope_parameters.rope_theta` (transformers 5) and
  /// an integer rope_theta. Where two forms of a key disagree, that is an error. Sizes have generous upper
  /// bounds, so that products of them fit int64_t.
  /// @param source  the file's name, for messages.
  /// @throws Error(kCorruptFile) that names every missing key at once, or the key with a wrong type or value;
  ///   Error(kUnsupported) for another model_type, an untied output projection, a rope_scaling, a
  ///   rope_type other than "default", and a form of quantization that this version does not compute.
  static ModelArgs from_json(std::string_view text, const std::string& source);

  /// from_json of the file `path`.
  /// @throws Error as from_json; Error(kNotFound | kIo).
  static ModelArgs load(const std::filesystem::path& path);

  /// The text of a config.json that from_json, mlx-lm and this project's other readers understand;
  /// rope_layout and quantization (under both of its names, as mlx-lm does) are written when they are there.
  std::string to_json() const;

  bool operator==(const ModelArgs&) const = default;
};

}  // namespace lille
