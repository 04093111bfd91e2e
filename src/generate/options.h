#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/check.h"
#include "lille/generate.h"

namespace lille {

/// What is known of one option, once: command-line flags, help, JSON fields and Python keywords come from
/// here.
struct OptionSpec {
  std::string_view name;        ///< "top_p": the JSON field and Python keyword; the flag is --top-p.
  std::string_view alias;       ///< Another flag without dashes, or empty.
  std::string_view value_name;  ///< What stands for the value in the help.
  std::string_view
      help;  ///< One sentence; says what holds if the option is absent, where that is no constant.
  double min = std::numeric_limits<double>::lowest();
  double max = std::numeric_limits<double>::max();
};

/// "--top-p" for "top_p".
std::string flag_of(std::string_view option_name);

/// How an answer is generated, as a user says it. An absent value falls back to the folder's defaults.
struct GenerationOptions {
  int64_t max_tokens = 256;
  std::optional<float> temperature;
  std::optional<float> top_p;
  std::optional<uint64_t> seed;
};

/// Which model is used and how it is run, as a user says it.
struct ModelOptions {
  std::string model;
  std::string rope;
  int64_t threads = 0;
};

/// Calls visit(const OptionSpec&, field&) for each option of a GenerationOptions.
template <typename Options, typename Visitor>
requires std::is_same_v<std::remove_const_t<Options>, GenerationOptions>
void visit_options(Options& options, Visitor&& visit) {
  visit(OptionSpec{"max_tokens", "", "N", "Most tokens to generate; the context (block_size) may end before.",
                   0, 1e9},
        options.max_tokens);
  visit(OptionSpec{"temperature", "temp", "T",
                   "Randomness: 0 takes the most likely token. Default: generation_config.json of the model, "
                   "else 0.5.",
                   0, 1e6},
        options.temperature);
  visit(
      OptionSpec{
          "top_p", "", "P",
          "Choose among the likeliest tokens that together have this probability; 0 and 1 are off. Default: "
          "generation_config.json of the model, else 0.95.",
          0, 1},
      options.top_p);
  visit(
      OptionSpec{
          "seed", "", "N",
          "Seed of the random numbers: the same seed gives the same text. Default: a new one each time."},
      options.seed);
}

/// Calls visit(const OptionSpec&, field&) for each option of a ModelOptions.
template <typename Options, typename Visitor>
requires std::is_same_v<std::remove_const_t<Options>, ModelOptions>
void visit_options(Options& options, Visitor&& visit) {
  visit(OptionSpec{"model", "", "DIR",
                   "Folder with config.json, model.safetensors and tokenizer files. Default: the small model "
                   "that comes "
                   "with the program."},
        options.model);
  visit(
      OptionSpec{
          "rope", "", "LAYOUT",
          "Rotary layout: interleaved, half or original. Default: config.json's rope_layout, else measured."},
      options.rope);
  visit(OptionSpec{"threads", "", "N", "Threads to compute with; 0 uses every processor.", 0, 1024},
        options.threads);
}

/// Checks every number of an options struct against its range.
/// @throws Error(kInvalidArgument) that names the flag, the range and the value.
template <typename Options>
void check_ranges(const Options& options) {
  visit_options(options, [](const OptionSpec& spec, const auto& field) {
    const auto check = [&spec](double value) {
      // A comparison that NaN fails.
      if (value >= spec.min && value <= spec.max) return;
      raise(ErrorCode::kInvalidArgument, "{}: expected a number from {} to {}, got {}", flag_of(spec.name),
            spec.min, spec.max, value);
    };
    using Field = std::remove_cvref_t<decltype(field)>;
    if constexpr (std::is_arithmetic_v<Field>) {
      check(static_cast<double>(field));
    } else if constexpr (!std::is_same_v<Field, std::string>) {
      if (field) check(static_cast<double>(*field));
    }
  });
}

/// The sampler that `options` ask for, with the folder's defaults where they say nothing.
/// @throws Error(kInvalidArgument) as make_sampler.
Sampler make_sampler(const GenerationOptions& options, const GenerationDefaults& defaults,
                     int64_t vocab_size);

}  // namespace lille
