#include "model/variant.h"

#include "kernels/weight_kind.h"
#include "model/access.h"
#include "model/golden.h"
#include "model/quantizer.h"

namespace lille {
namespace {

// In memory and through a folder: the same codes, so the same logits.
TEST(WithCodes, ComputesAsTheFolderDoes) {
  const test::TemporaryFolder folder;
  const Model model = test::load_model(test::source_path("tests/golden/mlx/toy"));
  FolderExportOptions options = {.form = FolderForm::kMlx};
  options.quantization = QuantizationArgs{.group_size = 32, .bits = 5};
  options.quantization->layers["transformer.layers.2.feed_forward.up_proj"] = LayerQuantization{64, 2};
  export_folder(model.path(), folder.path() / "model", options);
  const std::vector<CodesPlan> plans = plan_codes(model.path(), options);
  EXPECT_EQ(plans.size(), 16u);
  const Model variant = with_codes(model, plans, make_codes(model, {}, plans));
  EXPECT_EQ(variant.path(), model.path());
  Session in_memory(variant, {.n_threads = 1});
  Session in_folder(test::load_model(folder.path() / "model"), {.n_threads = 1});
  const std::vector<int32_t> ids = {1, 2, 3, 500, 77};
  EXPECT_EQ(test::all_logits(in_memory, ids), test::all_logits(in_folder, ids));
}

TEST(WithCodes, LeavesOtherMatricesAsTheyAre) {
  const Model model = test::load_model(test::source_path("tests/golden/mlx/toy"));
  FolderExportOptions options = {.form = FolderForm::kMlx};
  options.quantization = QuantizationArgs{.group_size = 32, .bits = 4};
  const std::vector<CodesPlan> plans = plan_codes(model.path(), options);
  CodesByName codes = make_codes(model, {}, {plans.begin() + 1, plans.begin() + 2});
  ASSERT_EQ(codes.size(), 1u);
  const std::string name = codes.begin()->first;
  EXPECT_EQ(name, "transformer.layers.0.attention.qkv_proj");
  const Model variant = with_codes(model, plans, std::move(codes));
  const Transformer& transformer = Access::parts(variant).transformer;
  EXPECT_EQ(parts_of(transformer, name).front().weight.kind, kernels::WeightKind::kAffine);
  EXPECT_EQ(parts_of(transformer, "transformer.layers.0.attention.out_proj").front().weight.kind,
            kernels::WeightKind::kF32);
  EXPECT_EQ(parts_of(transformer, "transformer.tok_embeddings").front().weight.kind,
            kernels::WeightKind::kF32);
  test::expect_error(ErrorCode::kInternal, "broken invariant", [&] { parts_of(transformer, "no such"); });
}

}  // namespace
}  // namespace lille
