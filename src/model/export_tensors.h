#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "io/safetensors_writer.h"
#include "lille/convert.h"
#include "model/export_codes.h"
#include "model/parameters.h"
#include "quantize/affine.h"

namespace lille {

/// "float32", "float16" or "bfloat16".
std::string_view float_type_name(FloatType type) noexcept;

/// Makes the tensors of a folder from the parameters of a source: first says what they will be, then makes
/// their bytes one parameter after the other, so that only one is in memory at a time.
class ExportTensors {
 public:
  /// @param source      outlives this.
  /// @param args        the source's.
  /// @param parameters  the source's, in the order of parameter_table(args); outlive this.
  /// @param options     with a setting that MLX has; outlives this.
  /// @throws Error that names the parameter, for codes that cannot be kept as asked.
  ExportTensors(const ModelSource& source, const ModelArgs& args, std::span<const Parameter> parameters,
                const FolderExportOptions& options);

  /// What write() will write; without bytes.
  const std::vector<TensorToSave>& tensors() const noexcept { return tensors_; }
  FolderExportReport report() const;
  /// What config.json says of the codes; nothing if all are floats.
  std::optional<QuantizationArgs> quantization() const;
  /// What config.json says of the floats; nothing if it is as the source says.
  std::optional<FloatType> float_type() const noexcept { return embedding_type_; }
  /// The text of model.safetensors.index.json.
  std::string index_text() const;

  /// The matrices that are quantised.
  std::vector<CodesPlan> planned_codes() const;
  /// Takes the codes of all planned matrices instead of quantising to nearest.
  void use(CodesByName codes) { made_codes_ = std::move(codes); }

  /// Writes all tensors.
  /// @throws Error that names the parameter, for weights that cannot be stored as asked; Error(kIo).
  void write(SafetensorsWriter& writer);

 private:
  /// How a parameter is stored.
  enum class Storage {
    kFloats,
    kStoredCodes,    ///< MLX's codes as the source has them.
    kCodesOfBlocks,  ///< MLX's codes with the integers of GGUF's blocks.
    kNewCodes,       ///< Quantised.
  };
  struct Plan {
    const Parameter* parameter = nullptr;
    Storage storage = Storage::kFloats;
    FloatType type = FloatType::kF32;  ///< Of the floats, or of scales and biases.
    LayerQuantization setting = {};    ///< Of codes.
  };

  std::optional<QuantizationArgs> settings() const;
  Plan plan_of(const Parameter& parameter) const;
  Plan plan_stored_codes(const Parameter& parameter, const Linear& linear) const;
  void add(const Plan& plan);
  void add_packed(const Plan& plan);
  /// The codes as a matrix; only its shape if they are null.
  static kernels::WeightMatrix affine_matrix(const Plan& plan, const AffineMatrix* codes);
  void add_tensor(std::string name, DType dtype, std::vector<int64_t> shape);
  /// Whether codes and blocks stay such where the form can hold them.
  bool keeps_codes() const noexcept {
    return options_.form == FolderForm::kMlx && !options_.quantization && !options_.dtype;
  }
  Linear linear_of(const Parameter& parameter) const;
  FloatType type_of(const ParameterSpec& spec, const Linear& linear) const;
  AffineMatrix codes_of(const Plan& plan, const Linear& linear);
  AffineMatrix codes_of_blocks(const Plan& plan, const Linear& linear);
  AffineMatrix new_codes(const Plan& plan, const Linear& linear);
  /// The source's own bytes where they are as planned, else `owned`.
  std::span<const std::byte> floats_of(const Plan& plan, const Linear& linear, std::vector<std::byte>& owned);

  const ModelSource& source_;
  const ModelArgs& args_;
  const FolderExportOptions& options_;
  ThreadPool pool_;
  std::vector<Plan> plans_;
  std::vector<TensorToSave> tensors_;
  std::optional<FloatType> embedding_type_;
  std::optional<FloatType> packed_type_;       ///< Of the scales of packed matrices; nothing if none is.
  std::optional<QuantizationArgs> of_blocks_;  ///< The settings that codes of blocks have got.
  CodesByName made_codes_;
  FolderExportReport report_;
  int64_t n_weights_ = 0;
};

}  // namespace lille
