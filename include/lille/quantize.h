#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string_view>

#include "lille/convert.h"
#include "lille/model.h"

namespace lille {

/// How codes, scales and biases are chosen (docs/QUANTIZATION.md).
enum class QuantizationMethod {
  kRtn,       ///< Round to nearest, bit for bit as MLX; needs no calibration.
  kWeighted,  ///< The scale and bias of each group for a small error weighted by the mean square of inputs.
  kGptq,      ///< Columns rounded one after the other, errors made good by later ones (arXiv 2210.17323).
};

/// "rtn", "weighted" or "gptq".
std::string_view quantization_method_name(QuantizationMethod method) noexcept;

/// The inverse of quantization_method_name; nothing for an unknown name.
std::optional<QuantizationMethod> quantization_method_from_name(std::string_view name) noexcept;

/// How quantize_model quantises.
struct QuantizeOptions {
  QuantizationMethod method = QuantizationMethod::kRtn;      ///< How codes are chosen.
  QuantizationArgs setting = {.group_size = 64, .bits = 4};  ///< Of all matrices, and exceptions.
  std::optional<FloatType> dtype = {};                       ///< As FolderExportOptions::dtype.
  /// Tokens whose activations tell which errors matter: whole windows of block_size of them are used. Not for
  /// kRtn.
  std::span<const int32_t> calibration = {};
  bool overwrite = false;           ///< Replaces a model's folder that is there.
  WarningCallback on_warning = {};  ///< May be empty.
  int64_t n_threads = 0;            ///< 0: every usable processor. The files do not depend on it.
  /// Called as the matrices are quantised; may be empty.
  std::function<void(int64_t n_done, int64_t n_matrices)> on_progress = {};
  /// Times that all windows of the calibration are read once more after the method, to move codes, scales and
  /// biases of all matrices by the gradient of the divergence from the source; 0: not at all. Not for kRtn.
  int64_t tune_epochs = 0;
  /// Called after each window of these; may be empty.
  std::function<void(int64_t n_done, int64_t n_windows)> on_tune = {};
  std::stop_token cancel = {};  ///< Looked at between blocks of the model.
};

/// Windows of block_size tokens that a calibration must have at least.
inline constexpr int64_t kMinCalibrationWindows = 4;

/// Writes a copy of a model in MLX's quantised form, as export_folder does, with a method of choice. Blocks
/// are quantised first to last: inputs are those of the model with all earlier ones quantised already, and
/// with kGptq the weights are first moved to those that give the outputs of the model as it was from these
/// inputs (arXiv 2504.02692). The embedding, which is the output projection too, comes first.
/// @throws Error(kInvalidArgument) as export_folder, for fewer than kMinCalibrationWindows windows of tokens,
///   and for ids outside the vocabulary; Error(kCanceled); Error(kIo | kNotFound) if it cannot be written.
FolderExportReport quantize_model(const Model& model, const std::filesystem::path& destination,
                                  const QuantizeOptions& options);

}  // namespace lille
