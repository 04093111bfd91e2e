#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "lille/model.h"
#include "lille/tokenizer.h"

namespace lille {

/// What export_gguf writes beside the weights, and how it stores them.
struct GgufExportOptions {
  /// "F32", "F16", "BF16", or llama.cpp's name of a mixture: "Q8_0", "Q4_0", "Q5_0", "Q4_K_M", "Q6_K". Empty:
  /// every matrix as it is stored.
  std::string type;
  bool pure = false;             ///< Gives every matrix the mixture's main type, the embedding too.
  std::string name;              ///< general.name; empty: none.
  bool add_bos_token = true;     ///< Whether a text begins with `<|startoftext|>`.
  float temperature = 0.5F;      ///< What programs shall sample with unless a user says otherwise.
  float top_p = 0.95F;           ///< The same.
  int64_t top_k = 0;             ///< The same; 0: off, and not written.
  float min_p = 0;               ///< The same; 0: off, and not written.
  float repetition_penalty = 1;  ///< The same; 1: off, and not written.
  bool overwrite = false;        ///< Replaces a file that is there, but never one of the model's own.
  int64_t n_threads = 0;         ///< 0: every usable processor. The file does not depend on it.
  /// Told what the file does not hold as the model has it, such as a chat template that is not Lille's; may
  /// be empty.
  WarningCallback on_warning;
};

/// Writes a model as a GGUF file of the llama architecture, for llama.cpp and the programs built on it
/// (docs/GGUF.md). Rows of q and k keep their order where the layout is `interleaved`, which llama.cpp
/// computes; for `half` they are permuted so that it computes that; for `original`, which it cannot, they are
/// permuted as the author's exporter does, with a warning. Our own keys say which, so that Model::load reads
/// the same weights back. Types of a mixture follow llama.cpp's quantiser; the file appears whole or not at
/// all.
/// @throws Error(kInvalidArgument) for a file that is there and may not be replaced, an unknown type, a
/// matrix whose rows no block of the type fits, weights in
///   MLX's form without a type, a tokenizer that is not the model's; Error(kIo | kNotFound).
void export_gguf(const Model& model, const Tokenizer& tokenizer, const std::filesystem::path& path,
                 const GgufExportOptions& options = {});

/// Types of numbers that are not packed.
enum class FloatType { kF32, kF16, kBF16 };

/// The type that is called "F32", "F16" or "BF16", as in files, or "float32", "float16" or "bfloat16", as in
/// mlx-lm and PyTorch; nothing for another name.
std::optional<FloatType> float_type_from_name(std::string_view name) noexcept;

/// The two kinds of folders with config.json and model.safetensors, under the same names.
enum class FolderForm {
  kHf,   ///< For transformers and all others: every weight a float.
  kMlx,  ///< For mlx-lm: matrices may be in MLX's affine form. Without it transformers reads the folder too.
};

/// What export_folder writes.
struct FolderExportOptions {
  FolderForm form = FolderForm::kHf;  ///< Whom the folder is for.
  /// Type of every float, scales and biases included. Nothing: each as it is stored. What is stored in codes
  /// or blocks then stays so in kMlx where its form holds them (all of GGUF's but Q6_K, in groups of 32), and
  /// becomes F32 else, which holds their values as they are computed with.
  std::optional<FloatType> dtype = {};
  /// Only kMlx: quantises embedding and linear layers where the group divides their rows, as mlx_lm.convert
  /// does.
  std::optional<QuantizationArgs> quantization = {};
  /// Only kMlx with codes of 4 or 8 bits: matrices are packed in the order in which products read them, which
  /// is fastest (docs/PERFORMANCE.md). Only this project reads such a folder; converting it again unpacks it.
  bool pack = false;
  std::optional<RopeLayout> rope_layout = {};  ///< Recorded in config.json; nothing: as the source says.
  bool overwrite = false;                      ///< Replaces a model's folder that is there.
  int64_t n_threads = 0;                       ///< 0: every usable processor. The files do not depend on it.
  /// Called after each parameter; may be empty.
  std::function<void(int64_t n_done, int64_t n_parameters)> on_progress = {};
  /// Told what of the source the folder does not hold: a chat template that is not Lille's and stands in no
  /// file that is copied, and tensors that are no parameters; may be empty.
  WarningCallback on_warning = {};
};

/// What export_folder did.
struct FolderExportReport {
  int64_t n_quantised = 0;    ///< Matrices that were quantised.
  int64_t n_kept = 0;         ///< Matrices that stay float, since the group does not divide their rows.
  int64_t n_dequantised = 0;  ///< Matrices that the source holds in codes or blocks and the folder in floats.
  int64_t n_bytes = 0;        ///< Of all tensors.
  double bits_per_weight = 0;  ///< Over all parameters, scales, biases and norms counted.
};

/// Writes any model that Model::load takes as a folder with the names of the Hugging Face form: config.json
/// with what the source's says, model.safetensors, and the tokenizer's files and generation_config.json: the
/// source's own, or those that Tokenizer::save and save_generation_defaults write where it has none. Rows of
/// q and k stand in the model's own order and in one qkv_proj. An index of the tensors stands beside the
/// weights, as mlx-lm writes it. Norms of a GGUF file, which llama.cpp wants in F32, get the type of the
/// embedding where that changes no value. The folder appears whole or not at all.
/// @throws Error(kInvalidArgument) for a setting that MLX does not have, a destination that is there and may
///   not be replaced or holds the source, quantising what is quantised, weights that a type cannot hold, and
///   rows that no group divides; Error as Model::load; Error(kIo | kNotFound) if it cannot be written.
FolderExportReport export_folder(const std::filesystem::path& source,
                                 const std::filesystem::path& destination,
                                 const FolderExportOptions& options = {});

}  // namespace lille
