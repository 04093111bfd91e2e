#include "lille/mixed_plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "base/check.h"
#include "eval/bit_plan.h"
#include "kernels/float_kind.h"
#include "lille/divergence.h"
#include "model/access.h"
#include "model/matrix_rows.h"
#include "model/quantizer.h"
#include "model/variant.h"

namespace lille {
namespace {

/// Tokens on which single matrices are measured, in slices from all over the calibration.
constexpr std::size_t kSlices = 8;
constexpr std::size_t kSliceTokens = 64;
/// Windows at the end of the calibration on which whole plans are measured.
constexpr std::size_t kTrialWindows = 4;
/// Plans that are tried for a divergence; each trial tells how far off the expectation is.
constexpr int kMaxTrials = 6;
/// Share of the wanted divergence that is aimed at, since trials differ from what is expected of them.
constexpr double kAim = 0.95;

class Planner {
 public:
  Planner(const Model& model, const QuantizeOptions& options, const MixedPlanProgress& on_progress)
      : model_(model),
        options_(options),
        on_progress_(on_progress),
        pool_(thread_count(options.n_threads)),
        plans_(plans_in(kSensitivityBits)) {
    for (const Model::Part& part : model.parts()) n_weights_ += part.n_parameters;
  }

  QuantizationArgs for_bits(double bits_per_weight) {
    const double n_bits = code_bits(bits_per_weight);
    std::vector<MatrixSensitivity> unmeasured;
    for (const CodesPlan& plan : plans_) unmeasured.push_back({plan.name, plan.n_out * plan.n_in, 0});
    // Refuses what cannot be reached before measuring takes its time.
    plan_bits(unmeasured, n_bits);
    measure();
    return setting_of(plan_bits(sensitivities_, n_bits));
  }

  /// Looks for the smallest plan that keeps the divergence.
  QuantizationArgs for_kl(double max_kl) {
    measure();
    const std::vector<int64_t> widest(sensitivities_.size(), 8);
    double ratio = 1;
    QuantizationArgs best = setting_of(widest);
    bool has_found = false;
    double low = 2, high = 8;
    for (int trial = 0; trial < kMaxTrials; ++trial) {
      tell("plan", trial, kMaxTrials);
      const std::vector<int64_t> bits = bits_for(kAim * max_kl / ratio, low, high);
      const double kl = measured_kl(bits);
      ratio = std::max(kl, 1e-12) / std::max(expected(bits), 1e-300);
      if (kl <= max_kl) {
        best = setting_of(bits);
        has_found = true;
        high = mean_bits(bits);
        if (kl > 0.9 * max_kl) break;
      } else {
        low = mean_bits(bits);
      }
      if (high - low < 0.02) break;
    }
    if (!has_found && measured_kl(widest) > max_kl)
      raise(
          ErrorCode::kInvalidArgument,
          "[quantize] max_kl: expected a divergence that 8 bits of every weight reach, got {}. Hint: {:.3g} "
          "can be reached; smaller groups reach a little less",
          max_kl, measured_kl(widest));
    return best;
  }

 private:
  std::vector<CodesPlan> plans_in(int64_t bits) const {
    FolderExportOptions folder = {.form = FolderForm::kMlx, .dtype = options_.dtype};
    folder.quantization = QuantizationArgs{.group_size = options_.setting.group_size, .bits = bits};
    return plan_codes(model_.path(), folder);
  }

  void tell(std::string_view step, int64_t n_done, int64_t n_total) const {
    if (on_progress_) on_progress_(step, n_done, n_total);
  }

  std::vector<int32_t> slices() const {
    std::vector<int32_t> ids;
    const std::size_t step = options_.calibration.size() / kSlices;
    for (std::size_t idx = 0; idx < kSlices; ++idx) {
      const auto slice = options_.calibration.subspan(idx * step, std::min(kSliceTokens, step));
      ids.insert(ids.end(), slice.begin(), slice.end());
    }
    return ids;
  }

  double kl_of(const Model& other, std::span<const int32_t> ids) {
    Session source(model_, {.n_threads = options_.n_threads, .exact = true});
    Session changed(other, {.n_threads = options_.n_threads, .exact = true});
    return divergence(source, changed, ids, {{}, options_.cancel}).mean;
  }

  void measure() {
    const std::vector<int32_t> ids = slices();
    for (const CodesPlan& plan : plans_) {
      tell("sensitivity", static_cast<int64_t>(sensitivities_.size()), static_cast<int64_t>(plans_.size()));
      const std::vector<float> weights = dequantised(parts_of(Access::parts(model_).transformer, plan.name));
      const kernels::WeightMatrix source = {
          .kind = kernels::WeightKind::kF32, .data = weights.data(), .n_out = plan.n_out, .n_in = plan.n_in};
      CodesByName codes;
      codes[plan.name] = quantize_affine(source, plan.setting, plan.scale_kind, pool_);
      const double kl = kl_of(with_codes(model_, plans_, std::move(codes)), ids);
      sensitivities_.push_back({plan.name, plan.n_out * plan.n_in, kl});
    }
  }

  /// Bits for codes in a model of so many bits per weight: the rest are scales, biases and floats.
  double code_bits(double bits_per_weight) const {
    double n_bits = bits_per_weight * static_cast<double>(n_weights_);
    double n_floats = static_cast<double>(n_weights_);
    double float_bits = 0;
    for (const CodesPlan& plan : plans_) {
      const auto n = static_cast<double>(plan.n_out * plan.n_in);
      float_bits = 8 * static_cast<double>(kernels::float_bytes(plan.scale_kind));
      n_bits -= 2 * float_bits * n / static_cast<double>(plan.setting.group_size);
      n_floats -= n;
    }
    return n_bits - float_bits * n_floats;
  }

  double expected(const std::vector<int64_t>& bits) const {
    double sum = 0;
    for (std::size_t idx = 0; idx < bits.size(); ++idx) sum += expected_kl(sensitivities_[idx], bits[idx]);
    return sum;
  }

  double mean_bits(const std::vector<int64_t>& bits) const {
    double sum = 0, n = 0;
    for (std::size_t idx = 0; idx < bits.size(); ++idx) {
      sum += static_cast<double>(bits[idx] * sensitivities_[idx].n_weights);
      n += static_cast<double>(sensitivities_[idx].n_weights);
    }
    return sum / n;
  }

  /// The smallest plan between two mean bits whose expected divergence is at most `kl`.
  std::vector<int64_t> bits_for(double kl, double low, double high) const {
    double n = 0;
    for (const MatrixSensitivity& matrix : sensitivities_) n += static_cast<double>(matrix.n_weights);
    for (int step = 0; step < 24; ++step) {
      const double middle = 0.5 * (low + high);
      (expected(plan_bits(sensitivities_, middle * n)) <= kl ? high : low) = middle;
    }
    return plan_bits(sensitivities_, high * n);
  }

  QuantizationArgs setting_of(const std::vector<int64_t>& bits) const {
    std::map<int64_t, int64_t> counts;
    for (const int64_t n : bits) ++counts[n];
    const auto most = std::ranges::max_element(counts, {}, [](const auto& count) { return count.second; });
    QuantizationArgs setting = {.group_size = options_.setting.group_size, .bits = most->first};
    for (std::size_t idx = 0; idx < bits.size(); ++idx)
      if (bits[idx] != setting.bits)
        setting.layers[sensitivities_[idx].name] = LayerQuantization{setting.group_size, bits[idx]};
    return setting;
  }

  /// The divergence of a plan, quantised without the windows that it is measured on.
  double measured_kl(const std::vector<int64_t>& bits) {
    const auto block_size = static_cast<std::size_t>(model_.args().block_size);
    const std::size_t n_windows = options_.calibration.size() / block_size;
    QuantizeOptions options = options_;
    options.calibration = options_.calibration.first((n_windows - kTrialWindows) * block_size);
    options.tune_epochs = 0;
    options.on_progress = [this](int64_t n_done, int64_t n_total) { tell("trial", n_done, n_total); };
    std::vector<CodesPlan> plans = plans_;
    for (std::size_t idx = 0; idx < bits.size(); ++idx) plans[idx].setting.bits = bits[idx];
    const Model changed = with_codes(model_, plans, make_codes(model_, options, plans));
    return kl_of(changed, options_.calibration.subspan((n_windows - kTrialWindows) * block_size,
                                                       kTrialWindows * block_size));
  }

  const Model& model_;
  const QuantizeOptions& options_;
  const MixedPlanProgress& on_progress_;
  ThreadPool pool_;
  std::vector<CodesPlan> plans_;                  ///< In kSensitivityBits.
  std::vector<MatrixSensitivity> sensitivities_;  ///< Of each plan.
  int64_t n_weights_ = 0;
};

void check_target(const MixedPlanTarget& target, const Model& model, const QuantizeOptions& options) {
  for (const double value : {target.bits_per_weight, target.max_kl})
    if (!(value >= 0) || !std::isfinite(value))
      raise(ErrorCode::kInvalidArgument, "[quantize] target: expected a positive number, got {}", value);
  if ((target.bits_per_weight > 0) == (target.max_kl > 0))
    raise(ErrorCode::kInvalidArgument,
          "[quantize] target: expected bits per weight or a divergence, one of them, got {}",
          target.max_kl > 0 ? "both" : "none");
  const int64_t n_least = 2 * kMinCalibrationWindows * model.args().block_size;
  if (static_cast<int64_t>(options.calibration.size()) < n_least)
    raise(
        ErrorCode::kInvalidArgument,
        "[quantize] calibration: expected at least {} tokens ({} windows of block_size) for a plan, got {}. "
        "Hint: use a longer text or more samples",
        n_least, 2 * kMinCalibrationWindows, options.calibration.size());
}

}  // namespace

QuantizationArgs plan_mixed(const Model& model, const MixedPlanTarget& target, const QuantizeOptions& options,
                            const MixedPlanProgress& on_progress) {
  check_target(target, model, options);
  Planner planner(model, options, on_progress);
  return target.max_kl > 0 ? planner.for_kl(target.max_kl) : planner.for_bits(target.bits_per_weight);
}

}  // namespace lille
