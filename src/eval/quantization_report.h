#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lille {

/// One format of a model, and what it costs.
struct FormatResult {
  std::string series;               ///< What a line of the plot joins: "gptq".
  std::string name;                 ///< "gptq, 4 bits, groups of 64"
  int64_t n_bytes = 0;              ///< Of the file of weights.
  double bits_per_weight = 0;       ///< Over all parameters, scales, biases and norms counted.
  double perplexity = 0;            ///< exp of the mean loss.
  double perplexity_error = 0;      ///< Its standard error, from the spread of the windows' losses.
  double kl_mean = 0;               ///< Mean divergence from the source model, nats; 0 for that itself.
  double kl_p999 = 0;               ///< 99.9th percentile of the same.
  double top1_agreement = 0;        ///< Share of predictions whose likeliest token is the source's, 0 to 1.
  double decode_tokens_per_s = 0;   ///< One token after the other.
  double prefill_tokens_per_s = 0;  ///< A whole context at once.
};

/// Everything that the two forms of a report say.
struct QuantizationReport {
  std::string model;                  ///< The source, for people.
  std::vector<std::string> protocol;  ///< Sentences: what was measured on what, and how.
  std::vector<FormatResult> formats;  ///< The source first.
};

/// The report as a table of text, one line for each format.
std::string report_text(const QuantizationReport& report);

/// The report as one page of HTML with a plot of divergence over size: no scripts, nothing from a network.
/// All texts are escaped.
std::string report_html(const QuantizationReport& report);

}  // namespace lille
