#include "model/export_tensors.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "kernels/float_kind.h"
#include "kernels/weight_kind.h"
#include "model/matrix_rows.h"
#include "model/weight_types.h"
#include "quantize/affine_blocks.h"
#include "quantize/packed.h"

namespace lille {
namespace {

/// One float type under all of its names.
struct FloatTypeRow {
  FloatType type;
  DType dtype;
  kernels::FloatKind float_kind;
  kernels::WeightKind weight_kind;
  std::string_view name;
};

constexpr std::array<FloatTypeRow, 3> kFloatTypes = {
    {{FloatType::kF32, DType::kF32, kernels::FloatKind::kF32, kernels::WeightKind::kF32, "float32"},
     {FloatType::kF16, DType::kF16, kernels::FloatKind::kF16, kernels::WeightKind::kF16, "float16"},
     {FloatType::kBF16, DType::kBF16, kernels::FloatKind::kBF16, kernels::WeightKind::kBF16, "bfloat16"}}};

const FloatTypeRow& row_of(FloatType type) noexcept { return kFloatTypes[static_cast<std::size_t>(type)]; }

const FloatTypeRow& row_of(kernels::FloatKind kind) noexcept {
  return *std::ranges::find(kFloatTypes, kind, &FloatTypeRow::float_kind);
}

/// Nothing for codes and blocks.
std::optional<FloatType> float_type_of(const kernels::WeightMatrix& matrix) noexcept {
  const auto found = std::ranges::find(kFloatTypes, matrix.kind, &FloatTypeRow::weight_kind);
  return found == kFloatTypes.end() ? std::nullopt : std::optional(found->type);
}

bool is_float(const LinearPart& part) noexcept { return float_type_of(part.weight).has_value(); }

/// Bits of a code that holds the codes of every part; nothing unless all are blocks that have such a form.
std::optional<int64_t> bits_of_blocks(const Linear& linear) noexcept {
  int64_t most = 0;
  for (const LinearPart& part : linear.parts) {
    const std::optional<int64_t> bits = affine_bits(part.weight.kind);
    if (!bits) return std::nullopt;
    most = std::max(most, *bits);
  }
  return most;
}

bool is_affine(const LinearPart& part) noexcept {
  return part.weight.kind == kernels::WeightKind::kAffine || part.weight.kind == kernels::WeightKind::kPacked;
}

template <typename Widen, typename Narrow>
bool survives(std::span<const std::byte> floats, Narrow narrow, Widen widen) {
  for (std::size_t at = 0; at < floats.size(); at += sizeof(float)) {
    const auto value = load_unaligned<float>(floats.data() + at);
    if (std::bit_cast<uint32_t>(widen(narrow(value))) != std::bit_cast<uint32_t>(value)) return false;
  }
  return true;
}

/// Whether every float32 comes back from the type as it was.
bool survives(std::span<const std::byte> floats, FloatType type) {
  if (type == FloatType::kF16) return survives(floats, f32_to_f16, f16_to_f32);
  return type == FloatType::kF32 || survives(floats, f32_to_bf16, bf16_to_f32);
}

std::span<const std::byte> rows_in_file(const kernels::WeightMatrix& matrix) {
  return {static_cast<const std::byte*>(matrix.data),
          static_cast<std::size_t>(matrix.n_out * kernels::row_bytes(matrix))};
}

void append(std::vector<std::byte>& to, const void* from, std::size_t n_bytes) {
  const auto* bytes = static_cast<const std::byte*>(from);
  to.insert(to.end(), bytes, bytes + n_bytes);
}

void append(AffineMatrix& to, const AffineMatrix& from) {
  append(to.codes, from.codes.data(), from.codes.size());
  append(to.scales, from.scales.data(), from.scales.size());
  append(to.biases, from.biases.data(), from.biases.size());
}

AffineMatrix stored_codes(const Linear& linear) {
  AffineMatrix stored;
  for (const LinearPart& part : linear.parts) {
    const kernels::WeightMatrix& weight = part.weight;
    if (weight.kind == kernels::WeightKind::kPacked) {
      append(stored, unpack_affine(weight));
      continue;
    }
    const auto n_scale_bytes = static_cast<std::size_t>(weight.n_out * (weight.n_in / weight.group_size) *
                                                        kernels::float_bytes(weight.scale_kind));
    append(stored.codes, weight.data, rows_in_file(weight).size());
    append(stored.scales, weight.scales, n_scale_bytes);
    append(stored.biases, weight.biases, n_scale_bytes);
  }
  return stored;
}

/// What `make` makes; its errors name the parameter.
template <typename Make>
AffineMatrix with_name(const ParameterSpec& spec, Make make) {
  try {
    return make();
  } catch (const Error& error) {
    raise_with_name(error, spec.name + ".weight");
  }
}

/// F16 if all parts' scales fit it.
kernels::FloatKind scale_kind_of_blocks(const Linear& linear) noexcept {
  for (const LinearPart& part : linear.parts)
    if (affine_scale_kind(part.weight.kind) == kernels::FloatKind::kF32) return kernels::FloatKind::kF32;
  return kernels::FloatKind::kF16;
}

}  // namespace

std::optional<FloatType> float_type_from_name(std::string_view name) noexcept {
  for (const FloatTypeRow& row : kFloatTypes)
    if (row.name == name || dtype_name(row.dtype) == name) return row.type;
  return std::nullopt;
}

std::string_view float_type_name(FloatType type) noexcept { return row_of(type).name; }

ExportTensors::ExportTensors(const ModelSource& source, const ModelArgs& args,
                             std::span<const Parameter> parameters, const FolderExportOptions& options)
    : source_(source), args_(args), options_(options), pool_(thread_count(options.n_threads)) {
  for (const Parameter& parameter : parameters) add(plan_of(parameter));
}

std::optional<QuantizationArgs> ExportTensors::quantization() const {
  std::optional<QuantizationArgs> quantization = settings();
  if (quantization) quantization->packed_scales = packed_type_ ? dtype_name(row_of(*packed_type_).dtype) : "";
  return quantization;
}

std::optional<QuantizationArgs> ExportTensors::settings() const {
  if (options_.quantization) return options_.quantization;
  if (of_blocks_) return of_blocks_;
  return keeps_codes() ? args_.quantization : std::nullopt;
}

FolderExportReport ExportTensors::report() const {
  FolderExportReport report = report_;
  report.bits_per_weight = 8.0 * static_cast<double>(report.n_bytes) / static_cast<double>(n_weights_);
  return report;
}

std::string ExportTensors::index_text() const {
  nlohmann::ordered_json index = {
      {"metadata", {{"total_size", report_.n_bytes}, {"total_parameters", n_weights_}}},
      {"weight_map", nlohmann::ordered_json::object()}};
  for (const TensorToSave& tensor : tensors_) index["weight_map"][tensor.name] = kWeightFile;
  return index.dump(4) + "\n";
}

ExportTensors::Plan ExportTensors::plan_of(const Parameter& parameter) const {
  const ParameterSpec& spec = *parameter.spec;
  const Linear linear = linear_of(parameter);
  if (keeps_codes() && std::ranges::any_of(linear.parts, is_affine))
    return plan_stored_codes(parameter, linear);
  const std::optional<int64_t> bits = bits_of_blocks(linear);
  if (keeps_codes() && bits)
    return {&parameter,
            Storage::kCodesOfBlocks,
            row_of(scale_kind_of_blocks(linear)).type,
            {.group_size = kBlockGroupSize, .bits = *bits}};
  const FloatType type = type_of(spec, linear);
  if (options_.quantization && spec.kind == ParameterKind::kMatrix) {
    const std::optional<LayerQuantization> setting = options_.quantization->of_layer(spec.name);
    if (setting && spec.shape[1] % setting->group_size == 0)
      return {&parameter, Storage::kNewCodes, type, *setting};
  }
  return {&parameter, Storage::kFloats, type, {}};
}

ExportTensors::Plan ExportTensors::plan_stored_codes(const Parameter& parameter, const Linear& linear) const {
  const std::string& name = parameter.spec->name;
  const kernels::WeightMatrix& first = linear.parts.front().weight;
  const std::optional<LayerQuantization> setting = args_.quantization->of_layer(name);
  const bool is_as_named = std::ranges::all_of(linear.parts, [&](const LinearPart& part) {
    const kernels::WeightMatrix& weight = part.weight;
    return is_affine(part) && weight.scale_kind == first.scale_kind &&
           setting == LayerQuantization{.group_size = weight.group_size, .bits = weight.bits};
  });
  if (!is_as_named)
    raise(ErrorCode::kUnsupported,
          "[convert] {}: expected codes of queries, keys and values in the one setting that config.json has "
          "for it, got others. Hint: choose a dtype, which makes floats of them",
          name);
  return {&parameter, Storage::kStoredCodes, row_of(first.scale_kind).type, *setting};
}

void ExportTensors::add(const Plan& plan) {
  const ParameterSpec& spec = *plan.parameter->spec;
  if (plans_.empty() && plan.storage != Storage::kStoredCodes) embedding_type_ = plan.type;
  plans_.push_back(plan);
  n_weights_ += spec.n_parameters();
  const DType dtype = row_of(plan.type).dtype;
  if (plan.storage == Storage::kFloats) {
    if (!std::ranges::all_of(linear_of(*plan.parameter).parts, is_float)) ++report_.n_dequantised;
    if (options_.quantization && spec.kind == ParameterKind::kMatrix) ++report_.n_kept;
    return add_tensor(spec.name + ".weight", dtype, spec.shape);
  }
  const LayerQuantization& setting = plan.setting;
  if (plan.storage == Storage::kNewCodes) ++report_.n_quantised;
  if (plan.storage == Storage::kCodesOfBlocks) {
    if (!of_blocks_) of_blocks_ = QuantizationArgs{.group_size = setting.group_size, .bits = setting.bits};
    if (setting.bits != of_blocks_->bits) of_blocks_->layers[spec.name] = setting;
  }
  if (options_.pack) return add_packed(plan);
  const int64_t n_out = spec.shape[0];
  const int64_t n_in = spec.shape[1];
  add_tensor(spec.name + ".weight", DType::kU32, {n_out, n_in * setting.bits / 32});
  add_tensor(spec.name + ".scales", dtype, {n_out, n_in / setting.group_size});
  add_tensor(spec.name + ".biases", dtype, {n_out, n_in / setting.group_size});
}

void ExportTensors::add_packed(const Plan& plan) {
  const ParameterSpec& spec = *plan.parameter->spec;
  if (!can_pack(plan.setting.bits))
    raise(ErrorCode::kInvalidArgument,
          "[pack] {}: expected codes of 4 or 8 bits, got {}. Hint: quantise to 4 or 8 bits", spec.name,
          plan.setting.bits);
  if (!packed_type_) packed_type_ = plan.type;
  if (*packed_type_ != plan.type)
    raise(ErrorCode::kInvalidArgument,
          "[pack] {}: expected scales of one type in the whole model, {}, got {}", spec.name,
          float_type_name(*packed_type_), float_type_name(plan.type));
  const kernels::WeightMatrix matrix = affine_matrix(plan, nullptr);
  const int64_t n_panels = (matrix.n_out + kernels::kPackedOuts - 1) / kernels::kPackedOuts;
  add_tensor(spec.name + ".weight", DType::kU8, {n_panels, kernels::packed_panel_bytes(matrix)});
}

kernels::WeightMatrix ExportTensors::affine_matrix(const Plan& plan, const AffineMatrix* codes) {
  const ParameterSpec& spec = *plan.parameter->spec;
  return {.kind = kernels::WeightKind::kAffine,
          .data = codes == nullptr ? nullptr : codes->codes.data(),
          .n_out = spec.shape[0],
          .n_in = spec.shape[1],
          .bits = plan.setting.bits,
          .scales = codes == nullptr ? nullptr : codes->scales.data(),
          .biases = codes == nullptr ? nullptr : codes->biases.data(),
          .scale_kind = row_of(plan.type).float_kind,
          .group_size = plan.setting.group_size};
}

void ExportTensors::add_tensor(std::string name, DType dtype, std::vector<int64_t> shape) {
  int64_t n_bytes = dtype_bytes(dtype);
  for (const int64_t extent : shape) n_bytes *= extent;
  report_.n_bytes += n_bytes;
  tensors_.push_back({std::move(name), dtype, std::move(shape), {}});
}

std::vector<CodesPlan> ExportTensors::planned_codes() const {
  std::vector<CodesPlan> planned;
  for (const Plan& plan : plans_)
    if (plan.storage == Storage::kNewCodes)
      planned.push_back({plan.parameter->spec->name, plan.parameter->spec->shape[0],
                         plan.parameter->spec->shape[1], plan.setting, row_of(plan.type).float_kind});
  return planned;
}

void ExportTensors::write(SafetensorsWriter& writer) {
  int64_t n_done = 0;
  for (const Plan& plan : plans_) {
    const Linear linear = linear_of(*plan.parameter);
    if (plan.storage == Storage::kFloats) {
      std::vector<std::byte> owned;
      writer.write(floats_of(plan, linear, owned));
    } else {
      const AffineMatrix matrix = codes_of(plan, linear);
      if (options_.pack) {
        writer.write(pack_affine(affine_matrix(plan, &matrix)));
      } else {
        writer.write(matrix.codes);
        writer.write(matrix.scales);
        writer.write(matrix.biases);
      }
    }
    if (options_.on_progress) options_.on_progress(++n_done, static_cast<int64_t>(plans_.size()));
  }
}

AffineMatrix ExportTensors::codes_of(const Plan& plan, const Linear& linear) {
  if (plan.storage == Storage::kNewCodes) return new_codes(plan, linear);
  return plan.storage == Storage::kStoredCodes ? stored_codes(linear) : codes_of_blocks(plan, linear);
}

// Parts whose codes differ in their bits get those of the widest.
AffineMatrix ExportTensors::codes_of_blocks(const Plan& plan, const Linear& linear) {
  AffineMatrix whole;
  int64_t n_done = 0;
  for (const LinearPart& part : linear.parts) {
    OwnedMatrix rows;
    if (part.permuted_head_dim != 0) rows = copy_rows(linear, n_done, part.weight.n_out, 0);
    const kernels::WeightMatrix& blocks = part.permuted_head_dim == 0 ? part.weight : rows.matrix;
    AffineMatrix codes = with_name(*plan.parameter->spec, [&] {
      return affine_from_blocks(blocks, plan.setting.bits, row_of(plan.type).float_kind, pool_, n_done);
    });
    if (linear.parts.size() == 1) return codes;
    append(whole, codes);
    n_done += part.weight.n_out;
  }
  return whole;
}

AffineMatrix ExportTensors::new_codes(const Plan& plan, const Linear& linear) {
  const ParameterSpec& spec = *plan.parameter->spec;
  if (const auto made = made_codes_.find(spec.name); made != made_codes_.end())
    return std::move(made->second);
  const FloatTypeRow& row = row_of(plan.type);
  std::vector<std::byte> owned;
  const kernels::WeightMatrix floats = {.kind = row.weight_kind,
                                        .data = floats_of(plan, linear, owned).data(),
                                        .n_out = spec.shape[0],
                                        .n_in = spec.shape[1]};
  return with_name(spec, [&] { return quantize_affine(floats, plan.setting, row.float_kind, pool_); });
}

Linear ExportTensors::linear_of(const Parameter& parameter) const {
  return bind_matrix(args_, parameter, source_.has_permuted_qk());
}

FloatType ExportTensors::type_of(const ParameterSpec& spec, const Linear& linear) const {
  if (options_.dtype) return *options_.dtype;
  const kernels::WeightMatrix& first = linear.parts.front().weight;
  const bool is_uniform = std::ranges::all_of(
      linear.parts, [&first](const LinearPart& part) { return part.weight.kind == first.kind; });
  const FloatType stored = is_uniform ? float_type_of(first).value_or(FloatType::kF32) : FloatType::kF32;
  const bool may_be_widened =
      spec.kind == ParameterKind::kNorm && source_.has_widened_norms() && stored == FloatType::kF32;
  return may_be_widened && survives(rows_in_file(first), *embedding_type_) ? *embedding_type_ : stored;
}

std::span<const std::byte> ExportTensors::floats_of(const Plan& plan, const Linear& linear,
                                                    std::vector<std::byte>& owned) {
  const LinearPart& first = linear.parts.front();
  if (linear.parts.size() == 1 && first.permuted_head_dim == 0 && float_type_of(first.weight) == plan.type)
    return rows_in_file(first.weight);
  owned = encode_floats(linear.parts, row_of(plan.type).dtype, plan.parameter->spec->name + ".weight", pool_);
  return owned;
}

}  // namespace lille
