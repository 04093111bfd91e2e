#include "eval/limits.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "kernels/weight_kind.h"
#include "model/access.h"
#include "model/visit_matrices.h"

namespace lille {
namespace {

// The bytes of all weights that a token reads, in the order in which it does: the embedding last, as the
// output projection.
std::vector<std::span<const std::byte>> weights_of(const Model& model) {
  std::vector<std::span<const std::byte>> pieces;
  const auto add = [&](const kernels::WeightMatrix& weight) {
    const auto add_array = [&](const void* data, int64_t n_bytes) {
      if (data != nullptr)
        pieces.emplace_back(static_cast<const std::byte*>(data), static_cast<std::size_t>(n_bytes));
    };
    add_array(weight.data, weight.n_out * kernels::row_bytes(weight));
    if (weight.group_size == 0) return;
    const int64_t n_scales = weight.n_out * weight.n_in / weight.group_size;
    add_array(weight.scales, n_scales * kernels::float_bytes(weight.scale_kind));
    add_array(weight.biases, n_scales * kernels::float_bytes(weight.scale_kind));
  };
  const Transformer& transformer = Access::parts(model).transformer;
  visit_matrices(transformer, [&](std::string_view, const std::vector<LinearPart>& parts) {
    for (const LinearPart& part : parts) add(part.weight);
  });
  add(transformer.tok_embeddings.weight);
  return pieces;
}

double median(const std::vector<double>& values) { return percentile(values, 0.5); }

}  // namespace

double percentile(std::vector<double> values, double share) {
  const auto rank = static_cast<std::ptrdiff_t>(std::ceil(share * static_cast<double>(values.size())));
  const auto at = values.begin() + std::max<std::ptrdiff_t>(rank, 1) - 1;
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

Limits::Limits(const Model& model, const SessionOptions& options, int64_t n_threads)
    : model_(model),
      table_(kernels::select_kernel_table(options.kernels)),
      exact_(options.exact),
      pool_(n_threads),
      read_rate_(weights_of(model)) {}

void Limits::measure() {
  read_.push_back(read_rate_.measure(pool_));
  f32_.push_back(peak_gops(pool_, table_.peak_f32));
  q8_.push_back(peak_gops(pool_, table_.peak_q8));
  q4_.push_back(peak_gops(pool_, table_.peak_q4));
  bf16_.push_back(peak_gops(pool_, table_.bf16.peak));
}

double Limits::read_gb_per_s() const { return median(read_); }

double Limits::seconds_of(const kernels::WeightMatrix& weight) const {
  const bool is_wide = weight.bits == 8 || weight.kind == kernels::WeightKind::kQ8_0;
  const std::vector<double>& peaks = exact_                                      ? f32_
                                     : kernels::takes_q8(weight.kind)            ? (is_wide ? q8_ : q4_)
                                     : weight.kind == kernels::WeightKind::kBF16 ? bf16_
                                                                                 : f32_;
  return 2e-9 * static_cast<double>(weight.n_out * weight.n_in) / median(peaks);
}

double Limits::prefill_tokens_per_s(int64_t n_tokens) const {
  if (table_.peak_f32 == nullptr) return 0;
  const Transformer& transformer = Access::parts(model_).transformer;
  double seconds = seconds_of(transformer.tok_embeddings.weight) / static_cast<double>(n_tokens);
  visit_matrices(transformer, [&](std::string_view, const std::vector<LinearPart>& parts) {
    for (const LinearPart& part : parts) seconds += seconds_of(part.weight);
  });
  const ModelArgs& args = model_.args();
  const double n_keys = static_cast<double>(n_tokens + 1) / 2;
  seconds += 4e-9 * n_keys * static_cast<double>(args.n_layer * args.q_size()) / median(f32_);
  return 1 / seconds;
}

}  // namespace lille
