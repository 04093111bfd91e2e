#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/cli.h"

namespace lille::cli {

/// What `lille quantize` is given.
struct QuantizeArguments {
  ModelOptions source;
  std::string destination;
  std::string dtype;
  std::string method = "rtn";
  std::string calibration;
  int64_t n_samples = 128;  // mlx_lm.gptq's default.
  int64_t tune_epochs = 0;
  double target_bits_per_weight = 0;
  double max_kl = 0;
  bool json = false;
  LayerQuantization setting = {.group_size = 64, .bits = 4};  // mlx-lm's defaults.
  bool overwrite = false;
  std::string report;
  std::string text;
};

/// The calibration text that is named, or the one beside the program's model.
/// @throws Error(kInvalidArgument) if it is not UTF-8; Error(kNotFound | kIo).
std::string read_calibration(const QuantizeArguments& arguments, const Environment& environment);

/// Its tokens: documents one after the other, at most as many as the samples have.
std::vector<int32_t> calibration_ids(const QuantizeArguments& arguments, const Model& model,
                                     std::string_view text);

/// Measures formats of a model instead of writing one; `lille quantize --report`.
void run_report(const QuantizeArguments& arguments, const Environment& environment);

}  // namespace lille::cli
