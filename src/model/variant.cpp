#include "model/variant.h"

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "model/access.h"
#include "model/visit_matrices.h"

namespace lille {
namespace {

/// Keeps what the weights point into.
class VariantSource : public ModelSource {
 public:
  VariantSource(Model model, std::shared_ptr<const void> memory)
      : model_(std::move(model)), memory_(std::move(memory)) {}

  const std::filesystem::path& path() const noexcept override { return model_.path(); }
  std::string form() const override { return model_.form() + ", with other weights in memory"; }
  ModelArgs args() const override { return model_.args(); }
  std::vector<NamedTensor> tensors(const WarningCallback&) const override { return {}; }
  std::vector<std::filesystem::path> files() const override { return {}; }

 private:
  Model model_;
  std::shared_ptr<const void> memory_;
};

constexpr std::string_view kEmbeddingName = "transformer.tok_embeddings";

}  // namespace

Model with_codes(const Model& model, std::span<const CodesPlan> plans, CodesByName codes) {
  const auto kept = std::make_shared<const CodesByName>(std::move(codes));
  Transformer transformer = Access::parts(model).transformer;
  const auto weight = [&](const std::string& name) -> std::optional<kernels::WeightMatrix> {
    const auto found = kept->find(name);
    if (found == kept->end()) return std::nullopt;
    const auto plan = std::ranges::find(plans, name, &CodesPlan::name);
    LILLE_CHECK(plan != plans.end());
    return weight_of(*plan, found->second);
  };
  if (const auto matrix = weight(std::string(kEmbeddingName))) transformer.tok_embeddings.weight = *matrix;
  visit_matrices(transformer, [&](const std::string& name, std::vector<LinearPart>& parts) {
    if (const auto matrix = weight(name)) parts = {{*matrix, 0}};
  });
  return make_variant(model, std::move(transformer), kept);
}

std::vector<LinearPart> parts_of(const Transformer& transformer, std::string_view name) {
  if (name == kEmbeddingName) return {{transformer.tok_embeddings.weight, 0}};
  std::vector<LinearPart> found;
  visit_matrices(transformer, [&](const std::string& matrix, const std::vector<LinearPart>& parts) {
    if (matrix == name) found = parts;
  });
  LILLE_CHECK(!found.empty());
  return found;
}

Model make_variant(const Model& model, Transformer transformer, std::shared_ptr<const void> memory) {
  const ModelParts& parts = Access::parts(model);
  auto source = std::make_unique<VariantSource>(model, std::move(memory));
  return Access::model(
      std::make_shared<ModelParts>(ModelParts{parts.args, std::move(source), std::move(transformer),
                                              parts.rope_table, parts.summary, parts.storage, parts.rope}));
}

}  // namespace lille
