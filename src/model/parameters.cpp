#include "model/parameters.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <unordered_map>

#include "base/check.h"
#include "base/text.h"

namespace lille {
namespace {

bool is_float(DType dtype) noexcept {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

kernels::FloatKind float_kind(DType dtype) noexcept {
  if (dtype == DType::kF32) return kernels::FloatKind::kF32;
  return dtype == DType::kF16 ? kernels::FloatKind::kF16 : kernels::FloatKind::kBF16;
}

kernels::WeightKind weight_kind(DType dtype) noexcept {
  if (dtype == DType::kF32) return kernels::WeightKind::kF32;
  return dtype == DType::kF16 ? kernels::WeightKind::kF16 : kernels::WeightKind::kBF16;
}

// The same fault in several layers as one text: "transformer.layers.{0,1,2}.attention.norm.weight is missing
// ...".
std::vector<std::string> merge_layers(std::span<const std::string> faults) {
  constexpr std::string_view kLayers = "transformer.layers.";
  std::vector<std::string> merged;
  std::vector<std::pair<std::string, std::vector<std::string>>> groups;  // text after the number, numbers
  for (const std::string& fault : faults) {
    const std::size_t dot = fault.starts_with(kLayers) ? fault.find('.', kLayers.size()) : std::string::npos;
    if (dot == std::string::npos) {
      merged.push_back(fault);
      continue;
    }
    const std::string rest = fault.substr(dot);
    const auto group = std::ranges::find(groups, rest, [](const auto& candidate) { return candidate.first; });
    auto& numbers =
        group == groups.end() ? groups.emplace_back(rest, std::vector<std::string>{}).second : group->second;
    numbers.push_back(fault.substr(kLayers.size(), dot - kLayers.size()));
  }
  for (const auto& [rest, numbers] : groups)
    merged.push_back(numbers.size() == 1 ? fmt::format("{}{}{}", kLayers, numbers[0], rest)
                                         : fmt::format("{}{{{}}}{}", kLayers, fmt::join(numbers, ","), rest));
  return merged;
}

class Matcher {
 public:
  Matcher(std::span<const NamedTensor> tensors, const ModelArgs& args) : args_(args) {
    for (const NamedTensor& tensor : tensors) unused_.emplace(tensor.name, &tensor.view);
  }

  Parameter match(const ParameterSpec& spec) {
    Parameter parameter = {&spec, take(spec.name + ".weight"), take(spec.name + ".scales"),
                           take(spec.name + ".biases")};
    if (parameter.weight == nullptr) {
      fault("{}.weight is missing: expected {}", spec.name, shape_text(spec.shape));
    } else if (parameter.scales == nullptr && parameter.biases == nullptr) {
      check_float(spec.name + ".weight", *parameter.weight, spec.shape);
      if (is_named_as_quantised(spec.name))
        fault("{}.scales and .biases are missing, but `quantization` in config.json names this layer",
              spec.name);
    } else {
      check_quantised(parameter);
    }
    return parameter;
  }

  void finish(const std::string& source) {
    std::vector<std::string_view> extra;
    for (const auto& [name, view] : unused_) extra.push_back(name);
    std::ranges::sort(extra);
    for (const std::string_view name : extra) fault("{} is not a parameter of this model", printable(name));
    if (faults_.empty()) return;
    raise(ErrorCode::kCorruptFile,
          "[load] {}: the tensors do not fit config.json: {}. Hint: are config.json and the weights of the "
          "same "
          "checkpoint?",
          source, fmt::join(merge_layers(faults_), "; "));
  }

 private:
  template <typename... Args>
  void fault(fmt::format_string<Args...> format, Args&&... args) {
    faults_.push_back(fmt::format(format, std::forward<Args>(args)...));
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

  void check_float(const std::string& name, const TensorView& view, std::span<const int64_t> shape) {
    if (!std::ranges::equal(view.shape, shape))
      fault("{}: expected {}, got {}", name, shape_text(shape), shape_text(view.shape));
    if (!is_float(view.dtype)) fault("{}: expected F32, F16 or BF16, got {}", name, dtype_name(view.dtype));
  }

  void check_quantised(const Parameter& parameter) {
    const ParameterSpec& spec = *parameter.spec;
    if (spec.kind != ParameterKind::kMatrix || !args_.quantization) {
      fault("{} has scales or biases, {}", spec.name,
            args_.quantization ? "but a norm is never quantised" : "but config.json has no `quantization`");
      return;
    }
    if (parameter.scales == nullptr || parameter.biases == nullptr) {
      fault("{}.{} is missing beside {}.{}", spec.name, parameter.scales == nullptr ? "scales" : "biases",
            spec.name, parameter.scales == nullptr ? "biases" : "scales");
      return;
    }
    const std::optional<LayerQuantization> setting = args_.quantization->of_layer(spec.name);
    if (!setting) {
      fault("{} has scales and biases, but `quantization` in config.json says false for it", spec.name);
      return;
    }
    check_codes(parameter, *setting);
  }

  void check_codes(const Parameter& parameter, const LayerQuantization& setting) {
    const ParameterSpec& spec = *parameter.spec;
    const int64_t n_out = spec.shape[0];
    const int64_t n_in = spec.shape[1];
    if (n_in % setting.group_size != 0) {
      fault("{}: expected a group_size in config.json that divides its rows of {}, got {}", spec.name, n_in,
            setting.group_size);
      return;
    }
    const std::vector<int64_t> packed = {n_out, n_in * setting.bits / 32};
    if (parameter.weight->shape != packed)
      fault("{}.weight: expected {} for {} bits, got {}", spec.name, shape_text(packed), setting.bits,
            shape_text(parameter.weight->shape));
    if (parameter.weight->dtype != DType::kU32)
      fault("{}.weight: expected U32 codes, got {}", spec.name, dtype_name(parameter.weight->dtype));
    const std::vector<int64_t> groups = {n_out, n_in / setting.group_size};
    check_float(spec.name + ".scales", *parameter.scales, groups);
    check_float(spec.name + ".biases", *parameter.biases, groups);
    if (parameter.scales->dtype != parameter.biases->dtype)
      fault("{}: expected scales and biases of one dtype, got {} and {}", spec.name,
            dtype_name(parameter.scales->dtype), dtype_name(parameter.biases->dtype));
  }

  const ModelArgs& args_;
  std::unordered_map<std::string, const TensorView*> unused_;
  std::vector<std::string> faults_;
};

// Unsigned comparison of the bits without the sign finds NaN and infinity and, having no branch, compiles to
// vectors.
template <typename Bits>
bool has_non_finite(std::span<const std::byte> bytes, Bits magnitude_mask, Bits exponent_mask) {
  Bits found = 0;
  for (std::size_t offset = 0; offset + sizeof(Bits) <= bytes.size(); offset += sizeof(Bits)) {
    const auto magnitude = static_cast<Bits>(load_unaligned<Bits>(bytes.data() + offset) & magnitude_mask);
    found |= static_cast<Bits>(magnitude >= exponent_mask);
  }
  return found != 0;
}

bool has_non_finite(const TensorView& view) {
  if (view.dtype == DType::kF32) return has_non_finite<uint32_t>(view.bytes, 0x7fffffffu, 0x7f800000u);
  if (view.dtype == DType::kBF16) return has_non_finite<uint16_t>(view.bytes, 0x7fffu, 0x7f80u);
  if (view.dtype == DType::kF16) return has_non_finite<uint16_t>(view.bytes, 0x7fffu, 0x7c00u);
  return false;
}

void bind(kernels::WeightMatrix& matrix, const Parameter& parameter, const ModelArgs& args) {
  matrix.data = parameter.weight->bytes.data();
  matrix.n_out = parameter.spec->shape[0];
  matrix.n_in = parameter.spec->shape[1];
  if (parameter.scales == nullptr) {
    matrix.kind = weight_kind(parameter.weight->dtype);
    return;
  }
  matrix.kind = kernels::WeightKind::kAffine;
  const LayerQuantization setting = *args.quantization->of_layer(parameter.spec->name);
  matrix.bits = setting.bits;
  matrix.scales = parameter.scales->bytes.data();
  matrix.biases = parameter.biases->bytes.data();
  matrix.scale_kind = float_kind(parameter.scales->dtype);
  matrix.group_size = setting.group_size;
}

void bind(ops::NormWeight& norm, const Parameter& parameter, const ModelArgs&) {
  norm = {parameter.weight->bytes.data(), float_kind(parameter.weight->dtype), parameter.spec->shape[0]};
}

Transformer empty_transformer(const ModelArgs& args) {
  Transformer transformer;
  transformer.layers.resize(static_cast<std::size_t>(args.n_layer));
  for (int64_t layer_idx = 0; layer_idx < args.n_layer; ++layer_idx)
    transformer.layers[static_cast<std::size_t>(layer_idx)].attention.layer_idx = layer_idx;
  return transformer;
}

// Calls visit(ParameterSpec, slot) for every parameter: the one list of names, shapes and where each belongs.
// A slot is a NormWeight or a WeightMatrix.
template <typename Visit>
void visit_parameters(Transformer& transformer, const ModelArgs& args, Visit visit) {
  const auto norm = [&](const std::string& name, ops::NormWeight& slot) {
    visit(ParameterSpec{name, ParameterKind::kNorm, ParameterPart::kNorms, {args.n_embd}}, slot);
  };
  const auto matrix = [&](const std::string& name, ParameterPart part, std::vector<int64_t> shape,
                          kernels::WeightMatrix& slot) {
    visit(ParameterSpec{name, ParameterKind::kMatrix, part, std::move(shape)}, slot);
  };
  const int64_t n_embd = args.n_embd;
  const int64_t hidden_dim = args.hidden_dim();
  const int64_t qkv_size = args.q_size() + 2 * args.kv_size();
  using enum ParameterPart;
  matrix("transformer.tok_embeddings", kEmbedding, {args.vocab_size, n_embd},
         transformer.tok_embeddings.weight);
  for (Block& block : transformer.layers) {
    const std::string layer = fmt::format("transformer.layers.{}.", block.attention.layer_idx);
    Attention& attention = block.attention;
    norm(layer + "attention.norm", attention.norm);
    matrix(layer + "attention.qkv_proj", kAttention, {qkv_size, n_embd}, attention.qkv_proj.weight);
    matrix(layer + "attention.out_proj", kAttention, {n_embd, args.q_size()}, attention.out_proj.weight);
    MLP& mlp = block.feed_forward;
    norm(layer + "feed_forward.norm", mlp.norm);
    matrix(layer + "feed_forward.gate_proj", kFeedForward, {hidden_dim, n_embd}, mlp.gate_proj.weight);
    matrix(layer + "feed_forward.up_proj", kFeedForward, {hidden_dim, n_embd}, mlp.up_proj.weight);
    matrix(layer + "feed_forward.down_proj", kFeedForward, {n_embd, hidden_dim}, mlp.down_proj.weight);
  }
  norm("transformer.norm", transformer.norm);
}

}  // namespace

int64_t ParameterSpec::n_parameters() const noexcept {
  int64_t n = 1;
  for (const int64_t extent : shape) n *= extent;
  return n;
}

int64_t Parameter::n_bytes() const noexcept {
  std::size_t n = weight->bytes.size();
  if (scales != nullptr) n += scales->bytes.size() + biases->bytes.size();
  return static_cast<int64_t>(n);
}

std::vector<ParameterSpec> parameter_table(const ModelArgs& args) {
  std::vector<ParameterSpec> table;
  Transformer shape = empty_transformer(args);
  visit_parameters(shape, args,
                   [&table](ParameterSpec spec, const auto&) { table.push_back(std::move(spec)); });
  return table;
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

void warn_of_non_finite(ThreadPool& pool, std::span<const Parameter> parameters,
                        const WarningCallback& on_warning) {
  if (!on_warning) return;
  std::vector<const TensorView*> views;
  for (const Parameter& parameter : parameters)
    for (const TensorView* view : {parameter.weight, parameter.scales, parameter.biases})
      if (view != nullptr) views.push_back(view);
  std::vector<char> is_bad(views.size(), 0);
  pool.run(static_cast<int64_t>(views.size()),
           [&](int64_t view_idx, int64_t) { is_bad[view_idx] = has_non_finite(*views[view_idx]) ? 1 : 0; });
  for (std::size_t view_idx = 0; view_idx < views.size(); ++view_idx)
    if (is_bad[view_idx] != 0)
      on_warning(
          fmt::format("{}: {} contains NaN or infinite values; what the model computes is meaningless. "
                      "Hint: is the file damaged, or did its training diverge?",
                      views[view_idx]->file, printable(views[view_idx]->name)));
}

Transformer bind_parameters(const ModelArgs& args, std::span<const Parameter> parameters) {
  std::unordered_map<std::string_view, const Parameter*> by_name;
  for (const Parameter& parameter : parameters) by_name.emplace(parameter.spec->name, &parameter);
  Transformer transformer = empty_transformer(args);
  visit_parameters(transformer, args, [&](const ParameterSpec& spec, auto& slot) {
    const auto found = by_name.find(spec.name);
    LILLE_CHECK(found != by_name.end());
    bind(slot, *found->second, args);
  });
  return transformer;
}

}  // namespace lille
