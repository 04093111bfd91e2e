#include "model/parameters.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/check.h"
#include "base/text.h"
#include "kernels/weight_kind.h"
#include "model/weight_types.h"
#include "quantize/packed.h"

namespace lille {
namespace {

bool is_float(DType dtype) noexcept {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

kernels::FloatKind float_kind(DType dtype) noexcept {
  if (dtype == DType::kF32) return kernels::FloatKind::kF32;
  return dtype == DType::kF16 ? kernels::FloatKind::kF16 : kernels::FloatKind::kBF16;
}

// Faults and layers that a message names; a file may hold any number of them.
constexpr std::size_t kMaxFaultsNamed = 20;
constexpr std::size_t kMaxLayersNamed = 64;

// A fault, and the numbers of the layers that have it; none where it is not one of a layer.
struct LayerFault {
  std::vector<std::string> numbers = {};
  std::string rest;  // what follows the number

  std::string text() const {
    if (numbers.empty()) return rest;
    if (numbers.size() == 1) return fmt::format("{}{}{}", kLayers, numbers[0], rest);
    const std::size_t n_named = std::min(numbers.size(), kMaxLayersNamed);
    return fmt::format("{}{{{}{}}}{}", kLayers, fmt::join(numbers.begin(), numbers.begin() + n_named, ","),
                       n_named < numbers.size() ? ",..." : "", rest);
  }

  static constexpr std::string_view kLayers = "transformer.layers.";
};

// The same fault in several layers as one: "transformer.layers.{0,1,2}.attention.norm.weight is missing ...".
std::vector<LayerFault> merge_layers(std::span<const std::string> faults) {
  constexpr std::string_view kLayers = LayerFault::kLayers;
  std::vector<LayerFault> merged;
  std::map<std::string, std::size_t> of_layers;  // what follows the number, and where it stands in merged
  for (const std::string& fault : faults) {
    const std::size_t dot = fault.starts_with(kLayers) ? fault.find('.', kLayers.size()) : std::string::npos;
    if (dot == std::string::npos) {
      merged.push_back({.rest = fault});
      continue;
    }
    const auto [group, is_new] = of_layers.emplace(fault.substr(dot), merged.size());
    if (is_new) merged.push_back({.rest = group->first});
    merged[group->second].numbers.push_back(fault.substr(kLayers.size(), dot - kLayers.size()));
  }
  return merged;
}

// The first of them, and how many are left out.
std::string faults_text(std::span<const std::string> faults) {
  const std::vector<LayerFault> merged = merge_layers(faults);
  std::string text;
  for (std::size_t idx = 0; idx < std::min(merged.size(), kMaxFaultsNamed); ++idx)
    text += (idx == 0 ? "" : "; ") + merged[idx].text();
  if (merged.size() > kMaxFaultsNamed)
    text += fmt::format("; and {} more faults", merged.size() - kMaxFaultsNamed);
  return text;
}

class Matcher {
 public:
  Matcher(std::span<const NamedTensor> tensors, const ModelArgs& args) : args_(args) {
    for (const NamedTensor& tensor : tensors) unused_.emplace(tensor.name, &tensor.view);
  }

  Parameter match(const ParameterSpec& spec) {
    if (!is_split(spec)) return {&spec, {match_tensor(spec)}};
    Parameter parameter = {&spec, {}};
    for (const SplitSpec& split : spec.splits)
      parameter.tensors.push_back(
          match_tensor({split.name, spec.kind, spec.part, {split.n_out, spec.shape[1]}}));
    return parameter;
  }

  void finish(const std::string& source) {
    std::vector<std::string_view> extra;
    for (const auto& [name, view] : unused_) extra.push_back(name);
    std::ranges::sort(extra);
    for (const std::string_view name : extra) fault("{} is not a parameter of this model", printable(name));
    if (faults_.empty()) return;
    raise(ErrorCode::kCorruptFile,
          "[load] {}: the tensors are not those of the model that it describes: {}. Hint: are "
          "configuration and weights of the same checkpoint?",
          source, faults_text(faults_));
  }

 private:
  template <typename... Args>
  void fault(fmt::format_string<Args...> format, Args&&... args) {
    faults_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }

  bool is_split(const ParameterSpec& spec) const {
    return !unused_.contains(spec.name + ".weight") &&
           std::ranges::any_of(spec.splits, [this](const SplitSpec& split) {
             return unused_.contains(split.name + ".weight");
           });
  }

  StoredTensor match_tensor(const ParameterSpec& spec) {
    StoredTensor tensor = {take(spec.name + ".weight"), take(spec.name + ".scales"),
                           take(spec.name + ".biases")};
    if (tensor.weight == nullptr) {
      fault("{}.weight is missing: expected {}", spec.name, shape_text(spec.shape));
    } else if (tensor.scales != nullptr || tensor.biases != nullptr) {
      tensor.quantization = check_affine(spec, tensor);
    } else if (is_packed(spec, *tensor.weight)) {
      tensor.quantization = check_packed(spec, *tensor.weight);
      tensor.packed_scales = dtype_from_name(args_.quantization->packed_scales);
    } else {
      if (spec.kind == ParameterKind::kMatrix && weight_kind(tensor.weight->dtype))
        check_shape(spec.name + ".weight", *tensor.weight, spec.shape);
      else
        check_float(spec.name + ".weight", *tensor.weight, spec.shape);
      if (is_named_as_quantised(spec.name))
        fault("{}.scales and .biases are missing, but `quantization` in config.json names this layer",
              spec.name);
    }
    return tensor;
  }

  const TensorView* take(const std::string& name) {
    const auto found = unused_.find(name);
    if (found == unused_.end()) return nullptr;
    const TensorView* view = found->second;
    unused_.erase(found);
    return view;
  }

  bool is_named_as_quantised(const std::string& path) const {
    if (!args_.quantization) return false;
    const auto found = args_.quantization->layers.find(path);
    return found != args_.quantization->layers.end() && found->second.has_value();
  }

  void check_shape(const std::string& name, const TensorView& view, std::span<const int64_t> shape) {
    if (!std::ranges::equal(view.shape, shape))
      fault("{}: expected {}, got {}", name, shape_text(shape), shape_text(view.shape));
  }

  void check_float(const std::string& name, const TensorView& view, std::span<const int64_t> shape) {
    check_shape(name, view, shape);
    if (!is_float(view.dtype)) fault("{}: expected F32, F16 or BF16, got {}", name, dtype_name(view.dtype));
  }

  // MLX's form of quantisation: scales and biases beside the codes. Returns the setting that they were
  // checked with.
  std::optional<LayerQuantization> check_affine(const ParameterSpec& spec, const StoredTensor& tensor) {
    if (spec.kind != ParameterKind::kMatrix || !args_.quantization) {
      fault("{} has scales or biases, {}", spec.name,
            args_.quantization ? "but a norm is never quantised" : "but config.json has no `quantization`");
      return std::nullopt;
    }
    if (tensor.scales == nullptr || tensor.biases == nullptr) {
      fault("{}.{} is missing beside {}.{}", spec.name, tensor.scales == nullptr ? "scales" : "biases",
            spec.name, tensor.scales == nullptr ? "biases" : "scales");
      return std::nullopt;
    }
    const std::optional<LayerQuantization> setting = args_.quantization->of_layer(spec.name);
    if (!setting) {
      fault("{} has scales and biases, but `quantization` in config.json says false for it", spec.name);
      return std::nullopt;
    }
    check_codes(spec, tensor, *setting);
    return setting;
  }

  bool is_packed(const ParameterSpec& spec, const TensorView& weight) const {
    return spec.kind == ParameterKind::kMatrix && weight.dtype == DType::kU8 && args_.quantization &&
           !args_.quantization->packed_scales.empty();
  }

  // Panels (kernels/kernel_types.h, WeightKind::kPacked). Returns the setting that they were checked with.
  std::optional<LayerQuantization> check_packed(const ParameterSpec& spec, const TensorView& weight) {
    const std::optional<LayerQuantization> setting = args_.quantization->of_layer(spec.name);
    const int64_t n_in = spec.shape[1];
    if (!setting || !can_pack(setting->bits) || n_in % setting->group_size != 0) {
      fault(
          "{}: expected codes of 4 or 8 bits in groups that divide its rows of {}, since it is packed, got "
          "{}",
          spec.name, n_in,
          setting ? fmt::format("{} bits in groups of {}", setting->bits, setting->group_size) : "none");
      return std::nullopt;
    }
    const kernels::WeightMatrix matrix = {
        .kind = kernels::WeightKind::kPacked,
        .n_out = spec.shape[0],
        .n_in = n_in,
        .bits = setting->bits,
        .scale_kind = float_kind(*dtype_from_name(args_.quantization->packed_scales)),
        .group_size = setting->group_size};
    const std::vector<int64_t> panels = {(matrix.n_out + kernels::kPackedOuts - 1) / kernels::kPackedOuts,
                                         kernels::packed_panel_bytes(matrix)};
    check_shape(spec.name + ".weight", weight, panels);
    return setting;
  }

  void check_codes(const ParameterSpec& spec, const StoredTensor& tensor, const LayerQuantization& setting) {
    const int64_t n_out = spec.shape[0];
    const int64_t n_in = spec.shape[1];
    if (n_in % setting.group_size != 0) {
      fault("{}: expected a group_size in config.json that divides its rows of {}, got {}", spec.name, n_in,
            setting.group_size);
      return;
    }
    const std::vector<int64_t> packed = {n_out, n_in * setting.bits / 32};
    if (tensor.weight->shape != packed)
      fault("{}.weight: expected {} for {} bits, got {}", spec.name, shape_text(packed), setting.bits,
            shape_text(tensor.weight->shape));
    if (tensor.weight->dtype != DType::kU32)
      fault("{}.weight: expected U32 codes, got {}", spec.name, dtype_name(tensor.weight->dtype));
    const std::vector<int64_t> groups = {n_out, n_in / setting.group_size};
    check_float(spec.name + ".scales", *tensor.scales, groups);
    check_float(spec.name + ".biases", *tensor.biases, groups);
    if (tensor.scales->dtype != tensor.biases->dtype)
      fault("{}: expected scales and biases of one dtype, got {} and {}", spec.name,
            dtype_name(tensor.scales->dtype), dtype_name(tensor.biases->dtype));
  }

  const ModelArgs& args_;
  std::unordered_map<std::string, const TensorView*> unused_;
  std::vector<std::string> faults_;
};

kernels::WeightMatrix matrix_of(const StoredTensor& tensor, int64_t n_out, int64_t n_in) {
  kernels::WeightMatrix matrix;
  matrix.data = tensor.weight->bytes.data();
  matrix.n_out = n_out;
  matrix.n_in = n_in;
  if (tensor.packed_scales) {
    matrix.kind = kernels::WeightKind::kPacked;
    matrix.bits = tensor.quantization.value().bits;
    matrix.group_size = tensor.quantization->group_size;
    matrix.scale_kind = float_kind(*tensor.packed_scales);
    return matrix;
  }
  if (tensor.scales == nullptr) {
    matrix.kind = weight_kind(tensor.weight->dtype).value();
    return matrix;
  }
  matrix.kind = kernels::WeightKind::kAffine;
  const LayerQuantization& setting = tensor.quantization.value();
  matrix.bits = setting.bits;
  matrix.scales = tensor.scales->bytes.data();
  matrix.biases = tensor.biases->bytes.data();
  matrix.scale_kind = float_kind(tensor.scales->dtype);
  matrix.group_size = setting.group_size;
  return matrix;
}

// Where the rows of a parameter lie, one part for each of its tensors.
std::vector<LinearPart> parts_of(const Parameter& parameter, int64_t permuted_head_dim) {
  const ParameterSpec& spec = *parameter.spec;
  const bool is_split = parameter.tensors.size() > 1;
  const bool is_row = spec.kind == ParameterKind::kNorm;
  std::vector<LinearPart> parts;
  for (std::size_t idx = 0; idx < parameter.tensors.size(); ++idx) {
    const int64_t n_out = is_split ? spec.splits[idx].n_out : is_row ? 1 : spec.shape[0];
    const bool is_permuted = is_split && spec.splits[idx].is_rotated;
    parts.push_back(
        {matrix_of(parameter.tensors[idx], n_out, spec.shape.back()), is_permuted ? permuted_head_dim : 0});
  }
  return parts;
}

// Fills the slots of a Transformer.
struct Binder {
  void bind(Linear& linear, const Parameter& parameter) const {
    linear.parts = parts_of(parameter, permuted_head_dim);
  }

  void bind(Embedding& embedding, const Parameter& parameter) const {
    embedding.weight = parts_of(parameter, 0).front().weight;
  }

  void bind(ops::NormWeight& norm, const Parameter& parameter) const {
    const TensorView& weight = *parameter.tensors.front().weight;
    norm = {weight.bytes.data(), float_kind(weight.dtype), parameter.spec->shape[0]};
  }

  int64_t permuted_head_dim = 0;
};

Transformer empty_transformer(const ModelArgs& args) {
  Transformer transformer;
  transformer.layers.resize(static_cast<std::size_t>(args.n_layer));
  for (int64_t layer_idx = 0; layer_idx < args.n_layer; ++layer_idx)
    transformer.layers[static_cast<std::size_t>(layer_idx)].attention.layer_idx = layer_idx;
  return transformer;
}

// Calls visit(ParameterSpec, slot) for every parameter: the one list of names, shapes and where each belongs.
// A slot is a NormWeight, a Linear or an Embedding.
template <typename Visit>
void visit_parameters(Transformer& transformer, const ModelArgs& args, Visit visit) {
  const auto norm = [&](const std::string& name, ops::NormWeight& slot) {
    visit(ParameterSpec{name, ParameterKind::kNorm, ParameterPart::kNorms, {args.n_embd}, {}}, slot);
  };
  const auto matrix = [&](const std::string& name, ParameterPart part, std::vector<int64_t> shape, auto& slot,
                          std::vector<SplitSpec> splits = {}) {
    visit(ParameterSpec{name, ParameterKind::kMatrix, part, std::move(shape), std::move(splits)}, slot);
  };
  const int64_t n_embd = args.n_embd;
  const int64_t hidden_dim = args.hidden_dim();
  const int64_t qkv_size = args.q_size() + 2 * args.kv_size();
  using enum ParameterPart;
  matrix("transformer.tok_embeddings", kEmbedding, {args.vocab_size, n_embd}, transformer.tok_embeddings);
  for (Block& block : transformer.layers) {
    const std::string layer = fmt::format("transformer.layers.{}.", block.attention.layer_idx);
    Attention& attention = block.attention;
    norm(layer + "attention.norm", attention.norm);
    matrix(layer + "attention.qkv_proj", kAttention, {qkv_size, n_embd}, attention.qkv_proj,
           {{layer + "attention.q_proj", args.q_size(), true},
            {layer + "attention.k_proj", args.kv_size(), true},
            {layer + "attention.v_proj", args.kv_size(), false}});
    matrix(layer + "attention.out_proj", kAttention, {n_embd, args.q_size()}, attention.out_proj);
    MLP& mlp = block.feed_forward;
    norm(layer + "feed_forward.norm", mlp.norm);
    matrix(layer + "feed_forward.gate_proj", kFeedForward, {hidden_dim, n_embd}, mlp.gate_proj);
    matrix(layer + "feed_forward.up_proj", kFeedForward, {hidden_dim, n_embd}, mlp.up_proj);
    matrix(layer + "feed_forward.down_proj", kFeedForward, {n_embd, hidden_dim}, mlp.down_proj);
  }
  norm("transformer.norm", transformer.norm);
}

}  // namespace

int64_t ParameterSpec::n_parameters() const noexcept {
  int64_t n = 1;
  for (const int64_t extent : shape) n *= extent;
  return n;
}

int64_t StoredTensor::n_bytes() const noexcept {
  std::size_t n = weight->bytes.size();
  if (scales != nullptr) n += scales->bytes.size() + biases->bytes.size();
  return static_cast<int64_t>(n);
}

std::string StoredTensor::storage() const {
  if (!quantization) return std::string(dtype_name(weight->dtype));
  return fmt::format("{}-bit, groups of {}, {} scales{}", quantization->bits, quantization->group_size,
                     dtype_name(packed_scales ? *packed_scales : scales->dtype),
                     packed_scales ? ", packed" : "");
}

std::vector<ParameterSpec> parameter_table(const ModelArgs& args) {
  std::vector<ParameterSpec> table;
  Transformer shape = empty_transformer(args);
  visit_parameters(shape, args,
                   [&table](ParameterSpec spec, const auto&) { table.push_back(std::move(spec)); });
  return table;
}

std::string join_types(std::span<const std::string> types) {
  std::vector<std::string_view> different;
  for (const std::string& type : types)
    if (std::ranges::find(different, type) == different.end()) different.push_back(type);
  return fmt::format("{}", fmt::join(different, " and "));
}

std::vector<Parameter> match_parameters(std::span<const ParameterSpec> table,
                                        std::span<const NamedTensor> tensors, const ModelArgs& args,
                                        const std::string& source) {
  Matcher matcher(tensors, args);
  std::vector<Parameter> parameters;
  parameters.reserve(table.size());
  for (const ParameterSpec& spec : table) parameters.push_back(matcher.match(spec));
  matcher.finish(source);
  return parameters;
}

StoredParameters::StoredParameters(const ModelSource& source, const ModelArgs& args,
                                   const WarningCallback& on_warning)
    : table_(parameter_table(args)),
      tensors_(source.tensors(on_warning)),
      parameters_(match_parameters(table_, tensors_, args, printable_path(source.path()))) {}

Transformer bind_parameters(const ModelArgs& args, std::span<const Parameter> parameters,
                            bool has_permuted_qk) {
  std::unordered_map<std::string_view, const Parameter*> by_name;
  for (const Parameter& parameter : parameters) by_name.emplace(parameter.spec->name, &parameter);
  Transformer transformer = empty_transformer(args);
  const Binder binder = {has_permuted_qk ? args.head_dim() : 0};
  visit_parameters(transformer, args, [&](const ParameterSpec& spec, auto& slot) {
    const auto found = by_name.find(spec.name);
    LILLE_CHECK(found != by_name.end());
    binder.bind(slot, *found->second);
  });
  return transformer;
}

Linear bind_matrix(const ModelArgs& args, const Parameter& parameter, bool has_permuted_qk) {
  return {parts_of(parameter, has_permuted_qk ? args.head_dim() : 0), nullptr};
}

}  // namespace lille
