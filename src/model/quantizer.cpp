#include "model/quantizer.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "model/access.h"
#include "model/calibration.h"
#include "model/matrix_rows.h"
#include "model/tuner.h"
#include "model/variant.h"
#include "quantize/gptq.h"
#include "quantize/output_matching.h"
#include "quantize/weighted.h"

namespace lille {
namespace {

/// Share of the mean diagonal; that of GPTQ's authors.
constexpr double kDamping = 0.01;
/// The embedding is looked up as well as multiplied with: an error in any column counts in itself.
constexpr double kEmbeddingDamping = 1;

constexpr std::string_view kQuantizedEmbedding = "transformer.tok_embeddings";

/// The matrices of a model in codes, one after the other.
class Quantizer {
 public:
  Quantizer(const Model& model, const QuantizeOptions& options, const std::vector<CodesPlan>& plans)
      : options_(options),
        plans_(plans),
        calibration_(model, options.calibration, options.n_threads, options.cancel) {}

  CodesByName run() {
    Transformer& working = calibration_.working();
    if (const CodesPlan* plan = find(std::string(kQuantizedEmbedding))) {
      const kernels::WeightMatrix source = working.tok_embeddings.weight;
      const std::vector<double> products = calibration_.output_products();
      working.tok_embeddings.weight =
          keep(*plan, quantised(*plan, source, {products, {}}, kEmbeddingDamping));
    }
    calibration_.embed();
    for (std::size_t layer_idx = 0; layer_idx < working.layers.size(); ++layer_idx)
      run_block(static_cast<int64_t>(layer_idx), working.layers[layer_idx]);
    return std::move(codes_);
  }

 private:
  const CodesPlan* find(const std::string& name) const {
    const auto found = std::ranges::find(plans_, name, &CodesPlan::name);
    return found == plans_.end() ? nullptr : &*found;
  }

  void run_block(int64_t layer_idx, Block& block) {
    const std::array<InputProducts, kLinearInputs> products = calibration_.block_products(layer_idx);
    const auto replace = [&](std::string_view name, Linear& linear, LinearInput input) {
      const CodesPlan* plan = find(fmt::format("transformer.layers.{}.{}", layer_idx, name));
      if (plan != nullptr) replace_linear(*plan, linear, products[static_cast<std::size_t>(input)]);
    };
    replace("attention.qkv_proj", block.attention.qkv_proj, LinearInput::kAttnNormed);
    replace("attention.out_proj", block.attention.out_proj, LinearInput::kAttnHeads);
    replace("feed_forward.gate_proj", block.feed_forward.gate_proj, LinearInput::kFfnNormed);
    replace("feed_forward.up_proj", block.feed_forward.up_proj, LinearInput::kFfnNormed);
    replace("feed_forward.down_proj", block.feed_forward.down_proj, LinearInput::kGate);
    calibration_.advance(layer_idx);
  }

  void replace_linear(const CodesPlan& plan, Linear& linear, const InputProducts& products) {
    const std::vector<float> weights = dequantised(linear.parts);
    const kernels::WeightMatrix source = {
        .kind = kernels::WeightKind::kF32, .data = weights.data(), .n_out = plan.n_out, .n_in = plan.n_in};
    linear.parts = {{keep(plan, quantised(plan, source, products, kDamping)), 0}};
  }

  AffineMatrix quantised(const CodesPlan& plan, const kernels::WeightMatrix& source,
                         const InputProducts& products, double damping) {
    ThreadPool& pool = calibration_.pool();
    try {
      if (options_.method == QuantizationMethod::kWeighted) {
        std::vector<float> importance(static_cast<std::size_t>(source.n_in));
        for (std::size_t idx = 0; idx < importance.size(); ++idx)
          importance[idx] = static_cast<float>(products.y_y[idx * importance.size() + idx] /
                                               static_cast<double>(options_.calibration.size()));
        return quantize_weighted(source, plan.setting, plan.scale_kind, importance, pool);
      }
      const GptqHessian hessian(products.y_y, damping, pool);
      if (products.d_y.empty()) return quantize_gptq(source, plan.setting, plan.scale_kind, hessian, pool);
      const std::vector<float> matched = match_outputs(source, products.d_y, hessian, pool);
      kernels::WeightMatrix target = source;
      target.data = matched.data();
      return quantize_gptq(target, plan.setting, plan.scale_kind, hessian, pool);
    } catch (const Error& error) {
      raise(error.code(), "[quantize] {}.weight: {}", plan.name, error.what());
    }
  }

  /// A matrix that points into codes, which stay.
  kernels::WeightMatrix keep(const CodesPlan& plan, AffineMatrix codes) {
    const AffineMatrix& kept = codes_[plan.name] = std::move(codes);
    if (options_.on_progress)
      options_.on_progress(static_cast<int64_t>(codes_.size()), static_cast<int64_t>(plans_.size()));
    return weight_of(plan, kept);
  }

  const QuantizeOptions& options_;
  const std::vector<CodesPlan>& plans_;
  Calibration calibration_;
  CodesByName codes_;  ///< Their bytes keep their addresses when the map grows.
};

}  // namespace

CodesByName make_codes(const Model& model, const QuantizeOptions& options,
                       const std::vector<CodesPlan>& plans) {
  CodesByName codes;
  if (options.method != QuantizationMethod::kRtn) {
    codes = Quantizer(model, options, plans).run();
    if (options.tune_epochs > 0) tune_codes(model, options, plans, codes);
    return codes;
  }
  ThreadPool pool(thread_count(options.n_threads));
  for (const CodesPlan& plan : plans) {
    const std::vector<float> weights = dequantised(parts_of(Access::parts(model).transformer, plan.name));
    const kernels::WeightMatrix source = {
        .kind = kernels::WeightKind::kF32, .data = weights.data(), .n_out = plan.n_out, .n_in = plan.n_in};
    codes[plan.name] = quantize_affine(source, plan.setting, plan.scale_kind, pool);
  }
  return codes;
}

}  // namespace lille
