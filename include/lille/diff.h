#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lille/model.h"

namespace lille {

/// One parameter of two models, whose values are compared as float32 in the model's own order of rows,
/// whatever the types and the order in the files are.
struct ParameterDiff {
  std::string name;                   ///< "transformer.layers.0.attention.qkv_proj.weight"
  std::vector<int64_t> shape_a;       ///< Empty if the first model has no such parameter.
  std::vector<int64_t> shape_b;       ///< Empty if the second model has no such parameter.
  std::string dtype_a;                ///< As Model::Storage has it; several if it is stored in parts.
  std::string dtype_b;                ///< The same of the second model.
  int64_t n_different = 0;            ///< Elements that are not equal; a NaN equals a NaN.
  double max_error = 0;               ///< Largest |a - b|; infinite where only one of the two is NaN.
  double rms_error = 0;               ///< Root of the mean of (a - b)^2 over all elements.
  std::vector<int64_t> max_error_at;  ///< Index of the first element with max_error; empty if all are equal.
  float value_a = 0;                  ///< What the first model has there.
  float value_b = 0;                  ///< What the second model has there.

  /// Both have it, in one shape, so that values were compared.
  bool is_comparable() const noexcept { return !shape_a.empty() && shape_a == shape_b; }
  /// Both have it with equal values; types may differ.
  bool is_same() const noexcept { return is_comparable() && n_different == 0; }
};

/// A value of config.json, or the rotary layout in use, that two models do not share.
struct ArgumentDiff {
  std::string name;  ///< "n_layer", "rope_layout"
  std::string a;     ///< As JSON has it.
  std::string b;     ///< As JSON has it.
};

/// What diff_models found.
struct ModelDiff {
  std::vector<ArgumentDiff> arguments;    ///< Those that differ; how weights are quantised is none.
  std::vector<ParameterDiff> parameters;  ///< All of the first model, then those of the second alone.

  /// No argument and no value differs; the types in which equal values are stored may.
  bool is_same() const noexcept;
};

/// What diff_models obeys and tells.
struct DiffOptions {
  int64_t n_threads = 0;  ///< 0: every usable processor. The result does not depend on it.
  std::function<void(int64_t n_done, int64_t n_parameters)>
      on_progress;  ///< After each parameter; may be empty.
};

/// Compares two models parameter by parameter, whatever forms they lie in. Where shapes differ, or only one
/// has a parameter, that is all that is said of it. Reads all weights of both.
/// @throws Error(kInvalidArgument | kUnsupported) for a bad number of threads.
ModelDiff diff_models(const Model& a, const Model& b, const DiffOptions& options = {});

}  // namespace lille
