#include "model/tuner.h"

#include <algorithm>
#include <map>
#include <random>

#include "base/check.h"
#include "model/access.h"
#include "model/kl_gradient.h"
#include "quantize/tuned_matrix.h"

namespace lille {
namespace {

/// Of the first step; later ones are smaller, down to nothing at the end. Rates that were tried:
/// docs/QUANTIZATION.md.
constexpr double kCodeRate = 0.002;
constexpr double kScaleRate = 2.5e-4;

class Tuner {
 public:
  Tuner(const Model& model, const QuantizeOptions& options, const std::vector<CodesPlan>& plans,
        const CodesByName& codes)
      : options_(options),
        state_(model, model.rope().layout, {.n_threads = options.n_threads, .exact = true}),
        parts_(Access::parts(state_.model)),
        block_size_(static_cast<std::size_t>(parts_.args.block_size)),
        weights_(parts_.transformer),
        gradients_(weights_) {
    weights_.visit([&](const std::string& name, ops::FloatMatrix& matrix) {
      const auto plan = std::ranges::find(plans, name, &CodesPlan::name);
      const auto found = codes.find(name);
      if (plan == plans.end() || found == codes.end()) return;
      tuned_.emplace(name, TunedMatrix(found->second, matrix.values, plan->n_in, plan->setting,
                                       plan->scale_kind, state_.pool));
    });
  }

  void run() {
    const auto n_windows = static_cast<int64_t>(options_.calibration.size() / block_size_);
    const int64_t n_steps = n_windows * options_.tune_epochs;
    std::mt19937_64 random(0);
    std::vector<std::size_t> order(static_cast<std::size_t>(n_windows));
    for (int64_t step_idx = 0; step_idx < n_steps; ++step_idx) {
      const auto at = static_cast<std::size_t>(step_idx % n_windows);
      if (at == 0) shuffle(order, random);
      const double left = 1 - static_cast<double>(step_idx) / static_cast<double>(n_steps);
      step(options_.calibration.subspan(order[at] * block_size_, block_size_),
           {kCodeRate * left, kScaleRate * left, step_idx});
      if (options_.on_tune) options_.on_tune(step_idx + 1, n_steps);
    }
  }

  void take(CodesByName& codes) const {
    for (const auto& [name, matrix] : tuned_) {
      try {
        codes[name] = matrix.codes();
      } catch (const Error& error) {
        raise(error.code(), "[quantize] {}.weight: {}", name, error.what());
      }
    }
  }

 private:
  /// The same on every system, unlike std::shuffle.
  static void shuffle(std::vector<std::size_t>& order, std::mt19937_64& random) {
    for (std::size_t idx = 0; idx < order.size(); ++idx) order[idx] = idx;
    for (std::size_t n_left = order.size(); n_left > 1; --n_left)
      std::swap(order[n_left - 1], order[random() % n_left]);
  }

  void step(std::span<const int32_t> window, const TuneStep& step) {
    weights_.visit([&](const std::string& name, ops::FloatMatrix& matrix) {
      const auto found = tuned_.find(name);
      if (found != tuned_.end()) found->second.write_weights(matrix.values, state_.pool);
    });
    PromptCache cache = make_prompt_cache(state_.model);
    const BatchItem item = {window, &cache, LogitsFor::kAll};
    const Logits source = forward_pass(parts_, state_, std::span(&item, 1), {options_.cancel, {}, nullptr});
    kl_gradient(parts_, state_, weights_, window, source, gradients_);
    gradients_.visit([&](const std::string& name, const ops::FloatMatrix& gradient) {
      const auto found = tuned_.find(name);
      if (found != tuned_.end()) found->second.step(gradient.values, step, state_.pool);
    });
  }

  const QuantizeOptions& options_;
  SessionState state_;
  const ModelParts& parts_;
  std::size_t block_size_;
  ModelMatrices weights_;    ///< Of the model in codes.
  ModelMatrices gradients_;  ///< Of the last window.
  std::map<std::string, TunedMatrix> tuned_;
};

}  // namespace

void tune_codes(const Model& model, const QuantizeOptions& options, const std::vector<CodesPlan>& plans,
                CodesByName& codes) {
  Tuner tuner(model, options, plans, codes);
  tuner.run();
  tuner.take(codes);
}

}  // namespace lille
