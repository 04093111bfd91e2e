#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>

#include "lille/model_args.h"

namespace lille {

/// Type of the scales and biases, to which the weights are rounded before they are quantised.
enum class ScaleType { kF32, kF16, kBF16 };

/// "float32", "float16" or "bfloat16", as mlx-lm's --dtype has it; nothing for another name.
std::optional<ScaleType> scale_type_from_name(std::string_view name) noexcept;

/// How quantize_folder works.
struct QuantizeOptions {
  LayerQuantization setting = {.group_size = 64, .bits = 4};  ///< mlx-lm's defaults.
  std::optional<ScaleType> scale_type = {};  ///< Nothing: that of each matrix, as it is stored.
  bool overwrite = false;                    ///< Replaces a model's folder that is there.
  int64_t n_threads = 0;                     ///< 0: all that this process may use.
  std::function<void(int64_t n_done, int64_t n_parameters)> on_progress =
      {};  ///< After each parameter; may be empty.
};

/// What quantize_folder did.
struct QuantizeReport {
  int64_t n_quantised = 0;     ///< Matrices that are quantised.
  int64_t n_kept = 0;          ///< Matrices that are not, since the group does not divide their rows.
  int64_t n_bytes = 0;         ///< Of all parameters.
  double bits_per_weight = 0;  ///< Over all parameters, scales, biases and norms counted.
};

/// Writes an MLX-quantised copy of a float checkpoint, as mlx_lm.convert -q does: config.json with the
/// setting, model.safetensors with its index, and the tokenizer's files and generation_config.json as they
/// are. Embedding and linear layers are quantised where the group divides their rows, norms are not. The
/// folder appears whole or not at all.
/// @throws Error(kInvalidArgument) for a setting that MLX does not have, a destination that is there and may
/// not be
///   replaced, a source that is quantised, weights that cannot be quantised, and rows that no group divides;
///   Error as Model::load for a source that is no Lille; Error(kIo | kNotFound) if the folder cannot be
///   written.
QuantizeReport quantize_folder(const std::filesystem::path& source, const std::filesystem::path& destination,
                               const QuantizeOptions& options);

}  // namespace lille
