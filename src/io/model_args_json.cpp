#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "io/json.h"
#include "io/model_args_checks.h"
#include "lille/model_args.h"

namespace lille {
namespace {

using nlohmann::json;

constexpr std::string_view kLoadConfig = "load_config";
constexpr std::string_view kModelType = "lille-130m";
constexpr std::string_view kConfigHint = "is this a Lille checkpoint?";
constexpr std::size_t kMaxConfigBytes = 16 << 20;

/// Reads one config.json into ModelArgs; every fault names the file and the key.
class ConfigReader {
 public:
  ConfigReader(const json& config, const std::string& file) : config_(config), file_(file) {}

  ModelArgs read() const {
    ModelArgs args;
    args.model_type = read_model_type();
    check_nothing_is_missing();
    for (const SizeKey& key : kSizeKeys)
      args.*key.member = read_whole(key, *find_either(key.name, key.training_name));
    args.layer_norm_eps = read_eps(config_.at("layer_norm_eps"));
    check_rope();
    args.rope_theta = read_number("rope_theta", *find_rope_theta(), kMinRopeTheta, kMaxRopeTheta);
    args.tie_word_embeddings = read_tie_word_embeddings();
    args.rope_layout = read_rope_layout();
    check_sizes(args);
    args.quantization = read_quantization();
    return args;
  }

 private:
  [[noreturn]] void fail(ErrorCode code, std::string_view key, std::string_view expected,
                         std::string_view found, std::string_view hint = kConfigHint) const {
    raise(code, "[{}] {}: {}: expected {}, got {}. Hint: {}", kLoadConfig, file_, key, expected, found, hint);
  }

  /// The value of a key, or nullptr where it is absent.
  static const json* find(const json& object, const char* key) {
    const auto found = object.find(key);
    return found == object.end() ? nullptr : &*found;
  }

  /// The value of an optional key, for which null means absent.
  const json* find_optional(const char* key) const {
    const json* value = find(config_, key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }

  const json* find_either(const char* name, const char* other_name) const {
    const json* value = find(config_, name);
    const json* other = other_name == nullptr ? nullptr : find(config_, other_name);
    if (value != nullptr && other != nullptr && *value != *other)
      fail(ErrorCode::kCorruptFile, name, fmt::format("the value of {}, {}", other_name, describe(*other)),
           describe(*value), "remove the one that is wrong");
    return value != nullptr ? value : other;
  }

  /// rope_theta of the top level or of rope_parameters.
  const json* find_rope_theta() const {
    const json* top = find(config_, "rope_theta");
    const json* parameters = find_optional("rope_parameters");
    if (parameters == nullptr) return top;
    if (!parameters->is_object())
      fail(ErrorCode::kCorruptFile, "rope_parameters", "an object", describe(*parameters));
    const json* nested = find(*parameters, "rope_theta");
    if (top != nullptr && nested != nullptr && *top != *nested)
      fail(ErrorCode::kCorruptFile, "rope_theta",
           fmt::format("the value of rope_parameters, {}", describe(*nested)), describe(*top),
           "remove the one that is wrong");
    return top != nullptr ? top : nested;
  }

  std::string read_model_type() const {
    const json* value = find(config_, "model_type");
    if (value == nullptr) return std::string(kModelType);
    if (!value->is_string()) fail(ErrorCode::kCorruptFile, "model_type", "a string", describe(*value));
    // mlx-lm picks the code of a model by this name, so another name is another architecture.
    if (*value != kModelType)
      fail(ErrorCode::kUnsupported, "model_type", fmt::format("\"{}\"", kModelType), describe(*value),
           "this program runs Lille models only");
    return std::string(kModelType);
  }

  void check_nothing_is_missing() const {
    std::vector<std::string> missing;
    const bool is_training_form = config_.contains("n_layers") || config_.contains("n_heads");
    if (!config_.contains("model_type") && !is_training_form) missing.emplace_back("model_type");
    for (const SizeKey& key : kSizeKeys)
      if (find_either(key.name, key.training_name) == nullptr)
        missing.push_back(
            key.training_name == nullptr ? key.name : fmt::format("{} (or {})", key.name, key.training_name));
    if (!config_.contains("layer_norm_eps")) missing.emplace_back("layer_norm_eps");
    if (find_rope_theta() == nullptr) missing.emplace_back("rope_theta");
    if (!missing.empty())
      raise(ErrorCode::kCorruptFile, "[{}] {}: expected all keys of a Lille model, got none for {}. Hint: {}",
            kLoadConfig, file_, fmt::join(missing, ", "), kConfigHint);
  }

  int64_t read_whole(const SizeKey& key, const json& value) const {
    // The parser makes every whole number from 0 unsigned, and a float of what exceeds 64 bits.
    const uint64_t whole = value.is_number_unsigned() ? value.get<uint64_t>() : 0;
    if (whole < 1 || whole > static_cast<uint64_t>(key.max))
      fail(ErrorCode::kCorruptFile, key.name, fmt::format("a whole number from 1 to {}", key.max),
           describe(value), key.hint == nullptr ? kConfigHint : std::string_view(key.hint));
    return static_cast<int64_t>(whole);
  }

  double read_number(std::string_view key, const json& value, double min, double max) const {
    if (!value.is_number() || !(value.get<double>() >= min) || !(value.get<double>() <= max))
      fail(ErrorCode::kCorruptFile, key, fmt::format("a number from {} to {}", min, max), describe(value));
    return value.get<double>();
  }

  float read_eps(const json& value) const {
    const float eps = value.is_number() ? value.get<float>() : 0.0f;
    if (!(eps > 0.0f && eps <= 1.0f))
      fail(ErrorCode::kCorruptFile, "layer_norm_eps", "a number above 0 (as float32) and at most 1",
           describe(value));
    return eps;
  }

  bool read_tie_word_embeddings() const {
    const json* value = find(config_, "tie_word_embeddings");
    if (value == nullptr) return true;
    if (!value->is_boolean())
      fail(ErrorCode::kCorruptFile, "tie_word_embeddings", "true or false", describe(*value));
    if (!value->get<bool>())
      fail(ErrorCode::kUnsupported, "tie_word_embeddings", "true", "false",
           "every Lille computes its logits with the token embedding; a separate output projection is not "
           "supported");
    return true;
  }

  void check_rope() const {
    const json* scaling = find_optional("rope_scaling");
    if (scaling != nullptr)
      fail(ErrorCode::kUnsupported, "rope_scaling", "null or nothing", describe(*scaling),
           "no Lille was trained with scaled rotary positions");
    check_rope_type("rope_type", find_optional("rope_type"));
    if (const json* parameters = find_optional("rope_parameters"))
      check_rope_type("rope_parameters.rope_type", find(*parameters, "rope_type"));
  }

  void check_rope_type(std::string_view key, const json* value) const {
    if (value != nullptr && !value->is_null() && *value != "default")
      fail(ErrorCode::kUnsupported, key, "\"default\"", describe(*value),
           "no Lille was trained with scaled rotary positions");
  }

  std::optional<RopeLayout> read_rope_layout() const {
    const json* value = find_optional("rope_layout");
    if (value == nullptr) return std::nullopt;
    const auto layout =
        value->is_string() ? rope_layout_from_name(value->get_ref<const std::string&>()) : std::nullopt;
    if (!layout)
      fail(ErrorCode::kCorruptFile, "rope_layout", "\"interleaved\", \"half\" or \"original\"",
           describe(*value), "docs/ROPE.md explains them; without the key the layout is measured");
    return layout;
  }

  void check_sizes(const ModelArgs& args) const {
    const std::optional<SizeFault> fault = find_size_fault(args);
    if (!fault) return;
    for (const SizeKey& key : kSizeKeys)
      if (key.member == fault->member)
        fail(ErrorCode::kCorruptFile, key.name, fault->expected, fault->found,
             fault->hint.empty() ? kConfigHint : fault->hint);
  }

  std::optional<QuantizationArgs> read_quantization() const {
    const json* value = find_optional("quantization");
    const json* copy = find_optional("quantization_config");
    if (value != nullptr && copy != nullptr && *value != *copy)
      fail(ErrorCode::kCorruptFile, "quantization", "the same as quantization_config", "two that differ",
           "mlx-lm writes one under both names; remove the one that is wrong");
    const std::string key = value != nullptr ? "quantization" : "quantization_config";
    if (value == nullptr) value = copy;
    if (value == nullptr) return std::nullopt;
    if (!value->is_object()) fail(ErrorCode::kCorruptFile, key, "an object", describe(*value));
    if (const json* method = find(*value, "quant_method"))
      fail(ErrorCode::kUnsupported, key + ".quant_method", "MLX's form, which has no such key",
           describe(*method), "convert the original checkpoint with mlx-lm, or use it without quantization");
    const LayerQuantization setting = read_layer_quantization(key, *value);
    QuantizationArgs quantization{.group_size = setting.group_size, .bits = setting.bits};
    if (const json* packing = find(*value, "packing"))
      quantization.packed_scales = read_packing(key + ".packing", *packing);
    for (const auto& [name, layer] : value->items()) {
      if (name == "group_size" || name == "bits" || name == "mode" || name == "packing") continue;
      if (layer.is_boolean()) {
        quantization.layers[name] = layer.get<bool>() ? std::optional(setting) : std::nullopt;
      } else if (layer.is_object()) {
        quantization.layers[name] =
            read_layer_quantization(fmt::format("{}.{}", key, printable(name)), layer);
      }
    }
    return quantization;
  }

  std::string read_packing(const std::string& key, const json& packing) const {
    const json* version = find(packing, "version");
    if (version == nullptr || *version != QuantizationArgs::kPackingVersion)
      fail(ErrorCode::kUnsupported, key + ".version", fmt::format("{}", QuantizationArgs::kPackingVersion),
           version == nullptr ? "none" : describe(*version),
           "pack the model again with this version of lille");
    const json* scales = find(packing, "scales");
    for (const char* type : {"F32", "F16", "BF16"})
      if (scales != nullptr && *scales == type) return type;
    fail(ErrorCode::kCorruptFile, key + ".scales", "F32, F16 or BF16",
         scales == nullptr ? "none" : describe(*scales));
  }

  LayerQuantization read_layer_quantization(const std::string& key, const json& quantization) const {
    const json* mode = find(quantization, "mode");
    if (mode != nullptr && *mode != "affine")
      fail(ErrorCode::kUnsupported, key + ".mode", "\"affine\"", describe(*mode),
           "quantize with mlx-lm's default mode");
    return {.group_size = read_one_of(key + ".group_size", find(quantization, "group_size"), {32, 64, 128},
                                      "32, 64 or 128", "these are MLX's group sizes"),
            .bits = read_one_of(key + ".bits", find(quantization, "bits"), {2, 3, 4, 5, 6, 8},
                                "2, 3, 4, 5, 6 or 8", "these are MLX's sizes of a code")};
  }

  int64_t read_one_of(const std::string& key, const json* value, std::initializer_list<int64_t> allowed,
                      std::string_view expected, std::string_view hint) const {
    const int64_t whole = value != nullptr && value->is_number_integer() ? value->get<int64_t>() : 0;
    if (std::find(allowed.begin(), allowed.end(), whole) == allowed.end())
      fail(ErrorCode::kCorruptFile, key, expected, value == nullptr ? "none" : describe(*value), hint);
    return whole;
  }

  const json& config_;
  const std::string& file_;
};

json quantization_object(const LayerQuantization& setting) {
  return {{"group_size", setting.group_size}, {"bits", setting.bits}, {"mode", "affine"}};
}

}  // namespace

ModelArgs ModelArgs::from_json(std::string_view text, const std::string& source) {
  const std::string file = printable_path(source);
  const json config = parse_json_object(text, {.action = kLoadConfig, .file = file});
  return ConfigReader(config, file).read();
}

ModelArgs ModelArgs::load(const std::filesystem::path& path) {
  return from_json(read_text_file(path, kMaxConfigBytes), path.string());
}

std::string ModelArgs::to_json() const {
  json config = {
      {"architectures", json::array({"LilleForCausalLM"})},
      {"model_type", model_type},
      // Through the shortest decimal of the float32, so that 1e-05 does not become 9.999999747378752e-06.
      {"layer_norm_eps", std::stod(fmt::format("{}", layer_norm_eps))},
      {"rope_theta", rope_theta},
      {"tie_word_embeddings", tie_word_embeddings}};
  for (const SizeKey& key : kSizeKeys) config[key.name] = this->*key.member;
  if (rope_layout) config["rope_layout"] = rope_layout_name(*rope_layout);
  if (quantization) {
    json object = quantization_object({quantization->group_size, quantization->bits});
    for (const auto& [path, layer] : quantization->layers)
      object[path] = layer ? quantization_object(*layer) : json(false);
    if (!quantization->packed_scales.empty())
      object["packing"] = {{"version", QuantizationArgs::kPackingVersion},
                           {"scales", quantization->packed_scales}};
    config["quantization"] = object;
    config["quantization_config"] = object;
  }
  return config.dump(4) + "\n";
}

}  // namespace lille
