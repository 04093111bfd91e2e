#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "io/safetensors.h"
#include "model/parameters.h"

namespace lille::test {

/// Weights of any Lille shape that are a formula of the tensor's name and the element's index, so that a
/// checkpoint of 127 million parameters need not be stored to be compared with
/// (../shared/golden/mlx/README.md, "lille/").
class Formula {
 public:
  /// @param name  "transformer.norm.weight"
  explicit Formula(std::string_view name)
      : hash_(fnv1a64(name)), scale_(scale_of(name)), is_norm_(name.find("norm") != std::string_view::npos) {}

  /// The element with this row-major index.
  float operator()(uint64_t element_idx) const {
    const uint64_t bits = splitmix64(hash_ + element_idx * 0x9E3779B97F4A7C15u);
    const double u = static_cast<double>(static_cast<int64_t>(bits >> 40) - (1 << 23)) * 0x1p-23;
    return static_cast<float>(is_norm_ ? 1 + 0.25 * u : u * scale_);
  }

 private:
  static uint64_t fnv1a64(std::string_view text) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char character : text) hash = (hash ^ static_cast<unsigned char>(character)) * 0x100000001b3u;
    return hash;
  }

  static uint64_t splitmix64(uint64_t state) {
    state += 0x9E3779B97F4A7C15u;
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9u;
    state = (state ^ (state >> 27)) * 0x94D049BB133111EBu;
    return state ^ (state >> 31);
  }

  static double scale_of(std::string_view name) {
    constexpr std::pair<const char*, double> kScales[] = {{"tok_embeddings", 0.125}, {"qkv_proj", 0.09375},
                                                          {"out_proj", 0.0625},      {"gate_proj", 0.078125},
                                                          {"up_proj", 0.078125},     {"down_proj", 0.046875}};
    for (const auto& [part, scale] : kScales)
      if (name.find(part) != std::string_view::npos) return scale;
    return 0;
  }

  uint64_t hash_;
  double scale_;
  bool is_norm_;
};

inline float keep_f32(float value) { return value; }

/// Writes model.safetensors with the formula's weights into a folder that has a config.json.
/// @param convert  keep_f32 or f32_to_bf16
template <typename Element>
void write_formula_weights(const std::filesystem::path& folder, DType dtype, Element (*convert)(float)) {
  const std::vector<ParameterSpec> table = parameter_table(ModelArgs::load(folder / "config.json"));
  std::vector<std::vector<Element>> storage;
  std::vector<TensorToSave> tensors;
  storage.reserve(table.size());
  for (const ParameterSpec& spec : table) {
    const std::string name = spec.name + ".weight";
    const Formula formula(name);
    auto& values = storage.emplace_back(static_cast<std::size_t>(spec.n_parameters()));
    for (std::size_t idx = 0; idx < values.size(); ++idx) values[idx] = convert(formula(idx));
    tensors.push_back({name, dtype, spec.shape, std::as_bytes(std::span(values))});
  }
  save_safetensors(folder / "model.safetensors", tensors);
}

}  // namespace lille::test
