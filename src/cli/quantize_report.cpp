#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/quantize.h"
#include "eval/format_quality.h"
#include "lille/quantize.h"
#include "model/quantizer.h"
#include "model/rope_text.h"
#include "model/variant.h"

namespace lille::cli {
namespace {

constexpr std::size_t kMaxTextBytes = 64 << 20;
constexpr std::array<int64_t, 6> kReportBits = {8, 6, 5, 4, 3, 2};
constexpr std::array kReportMethods = {QuantizationMethod::kRtn, QuantizationMethod::kWeighted,
                                       QuantizationMethod::kGptq};

// The model and what all measurements share; the folder's setting is one that the model can have.
struct Measuring {
  Model model;
  std::vector<int32_t> calibration;
  std::vector<int32_t> text;
  FolderExportOptions folder;
};

Measuring prepare(const QuantizeArguments& arguments, const Environment& environment) {
  const std::string calibration = read_calibration(arguments, environment);
  const std::string text =
      arguments.text.empty() ? std::string(kRopeText) : read_text_file(arguments.text, kMaxTextBytes);
  check_utf8(text, fmt::format("--text: {}", printable_path(arguments.text)));
  const Model model = load_model(arguments.source, environment);
  Measuring measuring = {model,
                         calibration_ids(arguments, model, calibration),
                         load_tokenizer(model).encode(text),
                         {.form = FolderForm::kMlx}};
  measuring.folder.dtype = float_type_from_name(arguments.dtype);
  const auto block_size = static_cast<std::size_t>(model.args().block_size);
  const std::size_t n_windows = measuring.calibration.size() / block_size;
  if (n_windows < static_cast<std::size_t>(kMinCalibrationWindows))
    raise(ErrorCode::kInvalidArgument,
          "--calibration: expected at least {} windows of {} tokens, got {} tokens. Hint: use a longer text "
          "or more "
          "samples",
          kMinCalibrationWindows, block_size, measuring.calibration.size());
  measuring.calibration.resize(n_windows * block_size);
  measuring.folder.quantization = QuantizationArgs{.group_size = arguments.setting.group_size, .bits = 8};
  plan_report(model.path(), measuring.folder);
  return measuring;
}

FormatResult source_format(const Model& model) {
  FormatResult format = {.series = "source", .name = "source, " + model.storage().front().dtype};
  int64_t n_weights = 0;
  for (const Model::Part& part : model.parts()) {
    format.n_bytes += part.n_bytes;
    n_weights += part.n_parameters;
  }
  format.bits_per_weight = 8.0 * static_cast<double>(format.n_bytes) / static_cast<double>(n_weights);
  return format;
}

// Makes a format in memory and measures it.
FormatResult measure(const QuantizeArguments& arguments, Measuring& measuring, QuantizationMethod method,
                     int64_t bits, ProgressBar& bar) {
  const int64_t group_size = arguments.setting.group_size;
  const std::string_view series = quantization_method_name(method);
  measuring.folder.quantization = QuantizationArgs{.group_size = group_size, .bits = bits};
  const FolderExportReport planned = plan_report(measuring.model.path(), measuring.folder);
  FormatResult format = {.series = std::string(series),
                         .name = fmt::format("{}, {} bits, groups of {}", series, bits, group_size),
                         .n_bytes = planned.n_bytes,
                         .bits_per_weight = planned.bits_per_weight};
  const std::vector<CodesPlan> plans = plan_codes(measuring.model.path(), measuring.folder);
  QuantizeOptions options = {.method = method};
  options.calibration = measuring.calibration;
  options.n_threads = arguments.source.threads;
  const Model quantised = with_codes(measuring.model, plans, make_codes(measuring.model, options, plans));
  FormatQualityOptions quality = {.n_threads = arguments.source.threads};
  quality.on_progress = [&bar](int64_t n_done, int64_t n_total) { bar.show(n_done, n_total); };
  measure_quality(format, measuring.model, quantised, measuring.text, quality);
  return format;
}

std::vector<std::string> protocol(const QuantizeArguments& arguments, const Measuring& measuring) {
  const int64_t block_size = measuring.model.args().block_size;
  return {
      fmt::format(
          "Measured on {}, {} tokens in windows of {} without overlap; perplexity over whole windows, "
          "with the standard error from their spread.",
          arguments.text.empty() ? "the built-in page of English" : printable_path(arguments.text),
          measuring.text.size(), block_size),
      "KL: divergence of the format's predictions from the source's, nats; activations in float32, so that "
      "only weights count. 99.9 %: all but one prediction in a thousand are below.",
      fmt::format("Calibrated on {}, {} tokens.",
                  arguments.calibration.empty() ? "the text that comes with the program"
                                                : printable_path(arguments.calibration),
                  measuring.calibration.size()),
      fmt::format(
          "Speed: as the program runs the format (activations of 8 bits), {} threads; median of passes "
          "over one token, and over {}.",
          Session(measuring.model, {.n_threads = arguments.source.threads}).n_threads(), block_size)};
}

// Told before the measurements take their time; the file itself is made after them, so that a run that is
// stopped leaves nothing.
void check_folder_of(const std::filesystem::path& report) {
  const std::filesystem::path folder = std::filesystem::absolute(report).parent_path();
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored))
    raise(ErrorCode::kNotFound, "--report: expected a file in a folder that is there, got {}",
          printable_path(report));
}

}  // namespace

void run_report(const QuantizeArguments& arguments, const Environment& environment) {
  check_folder_of(arguments.report);
  Measuring measuring = prepare(arguments, environment);
  QuantizationReport report = {printable_path(measuring.model.path().filename()), {}, {}};
  report.formats.push_back(source_format(measuring.model));
  const std::size_t n_formats = 1 + kReportMethods.size() * kReportBits.size();
  const auto label = [&](const std::string& name) {
    return fmt::format("{}/{} {}", report.formats.size(), n_formats, name);
  };
  {
    ProgressBar bar("source");
    measure_quality(report.formats.front(), measuring.model, measuring.model, measuring.text,
                    {.n_threads = arguments.source.threads});
    bar.show(1, 1);
  }
  for (const QuantizationMethod method : kReportMethods)
    for (const int64_t bits : kReportBits) {
      ProgressBar bar(label(fmt::format("{}, {} bits", quantization_method_name(method), bits)));
      bar.show(0, 1);
      report.formats.push_back(measure(arguments, measuring, method, bits, bar));
    }
  report.protocol = protocol(arguments, measuring);
  AtomicFile file(arguments.report);
  file.write(report_html(report));
  file.commit();
  print(report_text(report));
}

}  // namespace lille::cli
