#include "lille/diff.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "model/access.h"
#include "model/lille.h"
#include "model/matrix_rows.h"
#include "model/parameters.h"

namespace lille {
namespace {

/// What config.json says of storage or of names only, and the layout, of which the one in use counts.
constexpr const char* kNoArguments[] = {"architectures", "quantization", "quantization_config",
                                        "rope_layout"};

nlohmann::json arguments_of(const Model& model) {
  nlohmann::json arguments = nlohmann::json::parse(model.args().to_json());
  for (const char* key : kNoArguments) arguments.erase(key);
  arguments["rope_layout"] = rope_layout_name(model.rope().layout);
  return arguments;
}

std::vector<ArgumentDiff> diff_arguments(const Model& a, const Model& b) {
  const nlohmann::json of_a = arguments_of(a);
  const nlohmann::json of_b = arguments_of(b);
  std::vector<ArgumentDiff> differing;
  for (const auto& [name, value] : of_a.items())
    if (of_b.at(name) != value) differing.push_back({name, value.dump(), of_b.at(name).dump()});
  return differing;
}

/// The parameters of a model by name; they live as long as the model.
class NamedParameters {
 public:
  explicit NamedParameters(const Model& model)
      : parts_(Access::parts(model)), stored_(*parts_.source, parts_.args, {}) {
    for (const Parameter& parameter : stored_.all()) by_name_.emplace(parameter.spec->name, &parameter);
  }

  std::span<const Parameter> all() const noexcept { return stored_.all(); }
  /// Null if there is none.
  const Parameter* find(const std::string& name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
  }
  std::vector<LinearPart> rows_of(const Parameter& parameter) const {
    return bind_matrix(parts_.args, parameter, parts_.source->has_permuted_qk()).parts;
  }

 private:
  const ModelParts& parts_;
  StoredParameters stored_;
  std::unordered_map<std::string_view, const Parameter*> by_name_;
};

std::string dtype_of(const Parameter& parameter) {
  std::vector<std::string> types;
  for (const StoredTensor& tensor : parameter.tensors) types.push_back(tensor.storage());
  return join_types(types);
}

/// What differs in one row.
struct RowDiff {
  int64_t n_different = 0;
  double max_error = 0;
  double sum_of_squares = 0;
  int64_t col = 0;  ///< Of max_error.
  float value_a = 0;
  float value_b = 0;
};

RowDiff diff_rows(std::span<const float> a, std::span<const float> b) noexcept {
  RowDiff diff;
  for (std::size_t col = 0; col < a.size(); ++col) {
    if (a[col] == b[col] || (std::isnan(a[col]) && std::isnan(b[col]))) continue;
    const double distance = std::fabs(double{a[col]} - double{b[col]});
    const double error = std::isnan(distance) ? std::numeric_limits<double>::infinity() : distance;
    ++diff.n_different;
    diff.sum_of_squares += error * error;
    if (error <= diff.max_error) continue;
    diff.max_error = error;
    diff.col = static_cast<int64_t>(col);
    diff.value_a = a[col];
    diff.value_b = b[col];
  }
  return diff;
}

/// Compares the rows of parameters of one shape.
class RowComparer {
 public:
  explicit RowComparer(int64_t n_threads)
      : pool_(thread_count(n_threads)), kernels_(kernels::select_kernel_table({})) {}

  void compare(ParameterDiff& diff, std::span<const LinearPart> a, std::span<const LinearPart> b) {
    const bool is_matrix = diff.shape_a.size() > 1;
    const int64_t n_rows = is_matrix ? diff.shape_a.front() : 1;
    const auto n_cols = static_cast<std::size_t>(diff.shape_a.back());
    std::vector<RowDiff> rows(static_cast<std::size_t>(n_rows));
    std::vector<std::vector<float>> values(2 * static_cast<std::size_t>(pool_.n_threads()),
                                           std::vector<float>(n_cols));
    pool_.run(n_rows, [&](int64_t row, int64_t thread_idx) {
      std::vector<float>& row_a = values[2 * static_cast<std::size_t>(thread_idx)];
      std::vector<float>& row_b = values[2 * static_cast<std::size_t>(thread_idx) + 1];
      dequantize_row(row_a.data(), a, row, kernels_);
      dequantize_row(row_b.data(), b, row, kernels_);
      rows[static_cast<std::size_t>(row)] = diff_rows(row_a, row_b);
    });
    double sum_of_squares = 0;
    for (int64_t row_idx = 0; row_idx < n_rows; ++row_idx) {
      const RowDiff& row = rows[static_cast<std::size_t>(row_idx)];
      diff.n_different += row.n_different;
      sum_of_squares += row.sum_of_squares;
      if (row.max_error <= diff.max_error) continue;
      diff.max_error = row.max_error;
      diff.max_error_at = is_matrix ? std::vector<int64_t>{row_idx, row.col} : std::vector<int64_t>{row.col};
      diff.value_a = row.value_a;
      diff.value_b = row.value_b;
    }
    diff.rms_error = std::sqrt(sum_of_squares / (static_cast<double>(n_rows) * static_cast<double>(n_cols)));
  }

 private:
  ThreadPool pool_;
  const kernels::KernelTable& kernels_;
};

ParameterDiff describe(const Parameter* a, const Parameter* b) {
  ParameterDiff diff;
  diff.name = (a == nullptr ? b : a)->spec->name + ".weight";
  if (a != nullptr) {
    diff.shape_a = a->spec->shape;
    diff.dtype_a = dtype_of(*a);
  }
  if (b != nullptr) {
    diff.shape_b = b->spec->shape;
    diff.dtype_b = dtype_of(*b);
  }
  return diff;
}

}  // namespace

bool ModelDiff::is_same() const noexcept {
  return arguments.empty() && std::ranges::all_of(parameters, &ParameterDiff::is_same);
}

ModelDiff diff_models(const Model& a, const Model& b, const DiffOptions& options) {
  ModelDiff result;
  result.arguments = diff_arguments(a, b);
  const NamedParameters of_a(a);
  const NamedParameters of_b(b);
  RowComparer comparer(options.n_threads);
  int64_t n_done = 0;
  for (const Parameter& parameter : of_a.all()) {
    const Parameter* other = of_b.find(parameter.spec->name);
    ParameterDiff diff = describe(&parameter, other);
    if (diff.is_comparable()) comparer.compare(diff, of_a.rows_of(parameter), of_b.rows_of(*other));
    result.parameters.push_back(std::move(diff));
    if (options.on_progress) options.on_progress(++n_done, static_cast<int64_t>(of_a.all().size()));
  }
  for (const Parameter& parameter : of_b.all())
    if (of_a.find(parameter.spec->name) == nullptr)
      result.parameters.push_back(describe(nullptr, &parameter));
  return result;
}

}  // namespace lille
