#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "io/tensor_view.h"
#include "lille/model.h"

namespace lille {

/// A tensor of a checkpoint under the name it has in the model.
struct NamedTensor {
  std::string name;  ///< "transformer.layers.0.attention.norm.weight"
  TensorView view;   ///< Its name is the one in the file.
};

/// A model in one of the forms in which it lies on a disk: where its arguments and weights come from. What
/// stands beside them, tokenizer and settings, is found by the path (Tokenizer::load,
/// load_generation_defaults).
class ModelSource {
 public:
  /// Opens a folder with config.json and safetensors files or with a .pt file of PyTorch, a GGUF file, or a
  /// .pt file. Reads headers only.
  /// @throws Error(kNotFound) that says what may stand there, if nothing of that does; Error as the form's
  ///   reader.
  static std::unique_ptr<const ModelSource> open(const std::filesystem::path& path);

  virtual ~ModelSource() = default;

  /// What was opened.
  virtual const std::filesystem::path& path() const noexcept = 0;
  /// The form for people: "safetensors folder", "GGUF version 3, Q4_K_M".
  virtual std::string form() const = 0;
  virtual ModelArgs args() const = 0;
  /// The tensors under the model's names; they point into mapped files, which live as long as this.
  /// @throws Error(kCorruptFile) if two have one name.
  virtual std::vector<NamedTensor> tensors(const WarningCallback& on_warning) const = 0;
  /// Whether the rows of q_proj and k_proj stand in llama.cpp's order (ops::unpermute_heads).
  virtual bool has_permuted_qk() const { return false; }
  /// Whether norms are in F32 whatever they were, as llama.cpp wants them.
  virtual bool has_widened_norms() const { return false; }
  /// The files on which arguments and weights depend.
  virtual std::vector<std::filesystem::path> files() const = 0;
};

}  // namespace lille
