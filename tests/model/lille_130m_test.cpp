// The full Lille-130M shape against the real MLX, its weights from a formula.

#include <cmath>

#include "model/golden.h"
#include "model/parameters.h"

namespace lille {
namespace {

uint64_t fnv1a64(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char character : text) hash = (hash ^ static_cast<unsigned char>(character)) * 0x100000001b3u;
  return hash;
}

uint64_t splitmix64(uint64_t state) {
  state += 0x9E3779B97F4A7C15u;
  state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9u;
  state = (state ^ (state >> 27)) * 0x94D049BB133111EBu;
  return state ^ (state >> 31);
}

double scale_of(const std::string& name) {
  constexpr std::pair<const char*, double> kScales[] = {{"tok_embeddings", 0.125}, {"qkv_proj", 0.09375},
                                                        {"out_proj", 0.0625},      {"gate_proj", 0.078125},
                                                        {"up_proj", 0.078125},     {"down_proj", 0.046875}};
  for (const auto& [part, scale] : kScales)
    if (name.find(part) != std::string::npos) return scale;
  return 0;
}

// Element i of the tensor `name`, as ../shared/golden/mlx/README.md says.
class Formula {
 public:
  explicit Formula(const std::string& name)
      : hash_(fnv1a64(name)), scale_(scale_of(name)), is_norm_(name.find("norm") != std::string::npos) {}

  float operator()(uint64_t element_idx) const {
    const uint64_t bits = splitmix64(hash_ + element_idx * 0x9E3779B97F4A7C15u);
    const double u = static_cast<double>(static_cast<int64_t>(bits >> 40) - (1 << 23)) * 0x1p-23;
    return static_cast<float>(is_norm_ ? 1 + 0.25 * u : u * scale_);
  }

 private:
  uint64_t hash_;
  double scale_;
  bool is_norm_;
};

template <typename Element>
void write_checkpoint(const std::filesystem::path& folder, DType dtype, Element (*convert)(float)) {
  std::filesystem::copy_file(test::shared_path("golden/mlx/lille/config.json"), folder / "config.json");
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

void compare(const std::filesystem::path& folder, const char* expected_name) {
  const Model model = Model::load(folder);
  const SafetensorsFile file(test::shared_path("golden/mlx/lille") / expected_name);
  Session session(model);
  for (const std::string sequence : {"seq0", "seq1"}) {
    const std::vector<int32_t> ids = test::ids_of(file, sequence + ".tokens");
    const auto n_tokens = static_cast<int64_t>(ids.size());
    test::Recorder recorder;
    const test::Expected logits = {{n_tokens, 32768}, test::all_logits(session, ids, &recorder)};
    const test::Expected chosen = test::expected(file, sequence + ".logits");
    const std::vector<int32_t> positions = test::ids_of(file, sequence + ".positions");
    for (std::size_t idx = 0; idx < positions.size(); ++idx)
      test::expect_near(logits.rows(positions[idx], 1), chosen.rows(static_cast<int64_t>(idx), 1), 1e-3,
                        sequence);
    const std::vector<int32_t> top_ids = test::ids_of(file, sequence + ".top10_ids");
    std::vector<float> top_values;
    for (std::size_t idx = 0; idx < top_ids.size(); ++idx)
      top_values.push_back(logits.values[idx / 10 * 32768 + static_cast<std::size_t>(top_ids[idx])]);
    test::expect_near(top_values, test::expected(file, sequence + ".top10_values").values, 1e-3,
                      sequence + " top 10");
    test::expect_near(top_values, test::expected(file, sequence + ".top10_values_ref64").values, 1e-3,
                      sequence + " exact");
    const test::Expected hidden = test::expected(file, sequence + ".hidden_last");
    ASSERT_EQ(recorder.hidden.size(), 26u);
    for (std::size_t hidden_idx = 0; hidden_idx < 26; ++hidden_idx)
      test::expect_near(std::span(recorder.hidden[hidden_idx]).last(640),
                        hidden.rows(static_cast<int64_t>(hidden_idx), 1), 2e-3,
                        sequence + " hidden " + std::to_string(hidden_idx));
  }
}

float as_is(float value) { return value; }

TEST(Lille130M, TheFormulaGivesTheStatedWeights) {
  // weights.json: the first and the last value of two tensors.
  EXPECT_EQ(Formula("transformer.tok_embeddings.weight")(0), 0.1028134673833847F);
  EXPECT_EQ(Formula("transformer.tok_embeddings.weight")(32768 * 640 - 1), -0.05270017683506012F);
  EXPECT_EQ(Formula("transformer.norm.weight")(1), 1.1267868280410767F);
}

TEST(Lille130M, Float32EqualsMlx) {
  LILLE_NEED_SHARED();
  const test::TemporaryFolder folder;
  write_checkpoint<float>(folder.path(), DType::kF32, as_is);
  compare(folder.path(), "expected_f32.safetensors");
}

TEST(Lille130M, BfloatWeightsEqualMlx) {
  LILLE_NEED_SHARED();
  const test::TemporaryFolder folder;
  write_checkpoint<uint16_t>(folder.path(), DType::kBF16, f32_to_bf16);
  compare(folder.path(), "expected_bf16_weights.safetensors");
}

}  // namespace
}  // namespace lille
