#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "io/safetensors.h"
#include "lille/convert.h"
#include "model/parameters.h"
#include "quantize/affine.h"

namespace lille {

/// "float32", "float16" or "bfloat16".
std::string_view float_type_name(FloatType type) noexcept;

/// Makes the tensors of a folder from the parameters of a source, and owns the memory that they view where
/// that is not the source's.
class ExportTensors {
 public:
  /// @param source   outlives this.
  /// @param args     the source's.
  /// @param options  with a setting that MLX has; outlives this.
  ExportTensors(const ModelSource& source, const ModelArgs& args, const FolderExportOptions& options);

  /// Adds one parameter; the embedding comes first.
  /// @throws Error that names the parameter, for weights that cannot be stored as asked.
  void add(const Parameter& parameter);

  std::span<const TensorToSave> tensors() const noexcept { return tensors_; }
  FolderExportReport report() const;
  /// What config.json says of the codes; nothing if all are floats.
  std::optional<QuantizationArgs> quantization() const;
  /// What config.json says of the floats; nothing if it is as the source says.
  std::optional<FloatType> float_type() const noexcept { return embedding_type_; }
  /// The text of model.safetensors.index.json.
  std::string index_text() const;

 private:
  /// Whether codes and blocks stay such where the form can hold them.
  bool keeps_codes() const noexcept {
    return options_.form == FolderForm::kMlx && !options_.quantization && !options_.dtype;
  }
  void add_stored_codes(const ParameterSpec& spec, const Linear& linear);
  void add_codes_of_blocks(const ParameterSpec& spec, const Linear& linear, int64_t bits);
  void add_new_codes(const ParameterSpec& spec, const Linear& linear, FloatType type);
  void add_affine(const ParameterSpec& spec, const LayerQuantization& setting, kernels::FloatKind scale_kind,
                  AffineMatrix matrix);
  void add_tensor(std::string name, DType dtype, std::vector<int64_t> shape,
                  std::span<const std::byte> bytes);
  Linear linear_of(const Parameter& parameter) const;
  FloatType type_of(const ParameterSpec& spec, const Linear& linear) const;
  std::span<const std::byte> floats_of(const ParameterSpec& spec, const Linear& linear, FloatType type);
  std::span<const std::byte> own(std::vector<std::byte> bytes);

  const ModelSource& source_;
  const ModelArgs& args_;
  const FolderExportOptions& options_;
  ThreadPool pool_;
  std::vector<TensorToSave> tensors_;
  std::deque<std::vector<std::byte>> memory_;
  std::optional<FloatType> embedding_type_;
  std::optional<QuantizationArgs> of_blocks_;  ///< The settings that codes of blocks have got.
  FolderExportReport report_;
  int64_t n_weights_ = 0;
};

}  // namespace lille
