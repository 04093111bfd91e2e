#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <vector>

#include "base/atomic_folder.h"
#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "kernels/kernel_table.h"
#include "lille/quantize.h"
#include "model/parameters.h"
#include "quantize/affine.h"

namespace lille {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kWeightsFile = "model.safetensors";
constexpr std::size_t kMaxConfigBytes = 16 << 20;

/// What a model's folder holds beside weights and config.json.
constexpr std::array<const char*, 11> kCopiedFiles = {"vocab.json",
                                                      "merges.txt",
                                                      "tokenizer.json",
                                                      "tokenizer_config.json",
                                                      "special_tokens_map.json",
                                                      "added_tokens.json",
                                                      "Hastings.pkl",
                                                      "chat_template.jinja",
                                                      "chat_template.json",
                                                      "generation_config.json",
                                                      "LICENSE"};

/// One float type under all of its names.
struct FloatType {
  ScaleType scale_type;
  DType dtype;
  kernels::FloatKind float_kind;
  kernels::WeightKind weight_kind;
  std::string_view name;
};

constexpr std::array<FloatType, 3> kFloatTypes = {
    {{ScaleType::kF32, DType::kF32, kernels::FloatKind::kF32, kernels::WeightKind::kF32, "float32"},
     {ScaleType::kF16, DType::kF16, kernels::FloatKind::kF16, kernels::WeightKind::kF16, "float16"},
     {ScaleType::kBF16, DType::kBF16, kernels::FloatKind::kBF16, kernels::WeightKind::kBF16, "bfloat16"}}};

const FloatType& float_type(ScaleType type) noexcept { return kFloatTypes[static_cast<std::size_t>(type)]; }

/// match_parameters lets only these pass.
const FloatType& float_type(DType dtype) {
  const auto found = std::ranges::find(kFloatTypes, dtype, &FloatType::dtype);
  LILLE_CHECK(found != kFloatTypes.end());
  return *found;
}

/// A parameter in the type that was asked for: the file's own bytes, or rounded copies of them.
class FloatParameter {
 public:
  FloatParameter(const TensorView& view, const FloatType& type) : type_(type), bytes_(view.bytes) {
    const DType dtype = type.dtype;
    if (view.dtype == dtype) return;
    const kernels::WeightMatrix source = {.kind = float_type(view.dtype).weight_kind,
                                          .data = view.bytes.data(),
                                          .n_out = 1,
                                          .n_in = view.n_elements()};
    std::vector<float> values(static_cast<std::size_t>(view.n_elements()));
    kernels::select_kernel_table({}).dequantize_row(values.data(), source, 0);
    const auto n_bytes = static_cast<std::size_t>(dtype_bytes(dtype));
    rounded_.resize(values.size() * n_bytes);
    for (std::size_t idx = 0; idx < values.size(); ++idx) {
      const uint16_t half = dtype == DType::kF16 ? f32_to_f16(values[idx]) : f32_to_bf16(values[idx]);
      if (dtype == DType::kF16 && std::isfinite(values[idx]) && std::isinf(f16_to_f32(half)))
        raise(ErrorCode::kInvalidArgument,
              "[quantize] {}: {}: expected numbers that float16 holds, got {}. Hint: use bfloat16 or float32",
              view.file, printable(view.name), values[idx]);
      const void* from = dtype == DType::kF32 ? static_cast<const void*>(&values[idx]) : &half;
      std::memcpy(rounded_.data() + idx * n_bytes, from, n_bytes);
    }
    bytes_ = rounded_;
  }
  FloatParameter(const FloatParameter&) = delete;
  FloatParameter& operator=(const FloatParameter&) = delete;

  const FloatType& type() const noexcept { return type_; }
  std::span<const std::byte> bytes() const noexcept { return bytes_; }
  kernels::WeightMatrix matrix(const ParameterSpec& spec) const {
    return {.kind = type_.weight_kind, .data = bytes_.data(), .n_out = spec.shape[0], .n_in = spec.shape[1]};
  }

 private:
  const FloatType& type_;
  std::vector<std::byte> rounded_;
  std::span<const std::byte> bytes_;
};

/// Collects the tensors of the new checkpoint and the memory that they view.
class Quantizer {
 public:
  explicit Quantizer(const QuantizeOptions& options)
      : options_(options), pool_(options.n_threads == 0 ? n_usable_cpus() : options.n_threads) {}

  void add(const ParameterSpec& spec, const TensorView& weight) {
    const FloatType& type = options_.scale_type ? float_type(*options_.scale_type) : float_type(weight.dtype);
    auto values = std::make_unique<FloatParameter>(weight, type);
    if (spec.kind == ParameterKind::kMatrix && spec.shape[1] % options_.setting.group_size == 0) {
      add_codes(spec, *values);
      ++report_.n_quantised;
    } else {
      add_tensor(spec.name + ".weight", type.dtype, spec.shape, values->bytes());
      kept_.push_back(std::move(values));
      if (spec.kind == ParameterKind::kMatrix) ++report_.n_kept;
    }
    n_weights_ += spec.n_parameters();
  }

  std::span<const TensorToSave> tensors() const noexcept { return tensors_; }

  QuantizeReport report() const {
    QuantizeReport report = report_;
    report.bits_per_weight = 8.0 * static_cast<double>(report.n_bytes) / static_cast<double>(n_weights_);
    return report;
  }

  /// The text of model.safetensors.index.json.
  std::string index_text() const {
    nlohmann::ordered_json index = {
        {"metadata", {{"total_size", report_.n_bytes}, {"total_parameters", n_weights_}}},
        {"weight_map", nlohmann::ordered_json::object()}};
    for (const TensorToSave& tensor : tensors_) index["weight_map"][tensor.name] = kWeightsFile;
    return index.dump(4) + "\n";
  }

 private:
  void add_codes(const ParameterSpec& spec, const FloatParameter& values) {
    try {
      codes_.push_back(std::make_unique<AffineMatrix>(
          quantize_affine(values.matrix(spec), options_.setting, values.type().float_kind, pool_)));
    } catch (const Error& error) {
      raise(error.code(), "{}: {}", spec.name, error.what());
    }
    const AffineMatrix& matrix = *codes_.back();
    const int64_t n_out = spec.shape[0];
    const int64_t n_groups = spec.shape[1] / options_.setting.group_size;
    add_tensor(spec.name + ".weight", DType::kU32, {n_out, spec.shape[1] * options_.setting.bits / 32},
               matrix.codes);
    add_tensor(spec.name + ".scales", values.type().dtype, {n_out, n_groups}, matrix.scales);
    add_tensor(spec.name + ".biases", values.type().dtype, {n_out, n_groups}, matrix.biases);
  }

  void add_tensor(std::string name, DType dtype, std::vector<int64_t> shape,
                  std::span<const std::byte> bytes) {
    report_.n_bytes += static_cast<int64_t>(bytes.size());
    tensors_.push_back({std::move(name), dtype, std::move(shape), bytes});
  }

  const QuantizeOptions& options_;
  ThreadPool pool_;
  std::vector<TensorToSave> tensors_;
  std::vector<std::unique_ptr<AffineMatrix>> codes_;
  std::vector<std::unique_ptr<FloatParameter>> kept_;
  QuantizeReport report_;
  int64_t n_weights_ = 0;
};

/// config.json with everything that the source's has, the setting, and the type if one was asked for.
std::string config_text(const fs::path& path, ModelArgs args, const QuantizeOptions& options) {
  const std::string file = printable_path(path);
  const JsonSource source = {.action = "load_config", .file = file};
  nlohmann::json config = parse_json_object(read_text_file(path, kMaxConfigBytes), source);
  args.quantization =
      QuantizationArgs{.group_size = options.setting.group_size, .bits = options.setting.bits};
  config.update(parse_json_object(args.to_json(), source));
  if (options.scale_type) config["torch_dtype"] = float_type(*options.scale_type).name;
  return config.dump(4) + "\n";
}

void write_text(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void copy_other_files(const fs::path& from, const fs::path& to) {
  for (const char* name : kCopiedFiles) {
    std::error_code failed;
    if (!fs::is_regular_file(from / name, failed)) continue;
    fs::copy_file(from / name, to / name, failed);
    if (failed)
      raise(ErrorCode::kIo,
            "[write] {}: cannot be copied: {}. Nothing was written. Hint: name another folder",
            printable_path(from / name), failed.message());
  }
}

void check_float(const ModelArgs& args, const fs::path& source) {
  if (args.quantization)
    raise(ErrorCode::kInvalidArgument,
          "[quantize] {}: expected weights in float32, float16 or bfloat16, got {}-bit codes. Hint: quantize "
          "the "
          "checkpoint from which this one was made; quantizing twice adds up both errors",
          printable_path(source), args.quantization->bits);
}

}  // namespace

std::optional<ScaleType> scale_type_from_name(std::string_view name) noexcept {
  for (const FloatType& type : kFloatTypes)
    if (type.name == name) return type.scale_type;
  return std::nullopt;
}

QuantizeReport quantize_folder(const fs::path& source, const fs::path& destination,
                               const QuantizeOptions& options) {
  check_setting(options.setting);
  const ModelArgs args = ModelArgs::load(source / "config.json");
  check_float(args, source);
  std::error_code failed;
  if (fs::equivalent(source, destination, failed) && !failed)
    raise(ErrorCode::kInvalidArgument,
          "[quantize] {}: expected another folder than the source. Hint: name a new one",
          printable_path(destination));
  AtomicFolder folder(destination, options.overwrite ? IfExists::kReplace : IfExists::kRefuse);
  const std::vector<ParameterSpec> table = parameter_table(args);
  const Checkpoint checkpoint(source);
  const std::vector<NamedTensor> tensors = sanitize(checkpoint.tensors(), {});
  match_parameters(table, tensors, args, printable_path(source));

  std::unordered_map<std::string_view, const TensorView*> by_name;
  for (const NamedTensor& tensor : tensors) by_name.emplace(tensor.name, &tensor.view);
  Quantizer quantizer(options);
  int64_t n_done = 0;
  for (const ParameterSpec& spec : table) {
    const auto weight = by_name.find(spec.name + ".weight");
    // match_parameters takes q_proj, k_proj and v_proj for it.
    if (weight == by_name.end())
      raise(
          ErrorCode::kUnsupported,
          "[quantize] {}: expected {}.weight in one tensor, got it in parts. Hint: lille convert SRC x.gguf "
          "--quantize reads such a folder",
          printable_path(source), spec.name);
    quantizer.add(spec, *weight->second);
    if (options.on_progress) options.on_progress(++n_done, static_cast<int64_t>(table.size()));
  }
  const QuantizeReport report = quantizer.report();
  if (report.n_quantised == 0)
    raise(ErrorCode::kInvalidArgument,
          "[quantize] {}: expected rows that groups of {} divide, got none. Hint: choose a smaller group",
          printable_path(source), options.setting.group_size);
  save_safetensors(folder.path() / kWeightsFile, quantizer.tensors(), {{"format", "mlx"}});
  write_text(folder.path() / "model.safetensors.index.json", quantizer.index_text());
  write_text(folder.path() / "config.json", config_text(source / "config.json", args, options));
  copy_other_files(source, folder.path());
  folder.commit();
  return report;
}

}  // namespace lille
