#include "cli/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/cli.h"
#include "lille/convert.h"
#include "lille/mixed_plan.h"
#include "lille/quantize.h"

namespace lille::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMaxCalibrationBytes = 64 << 20;

// Documents stand apart by lines that hold only U+001E.
std::vector<int32_t> encode_documents(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\x1e'), text.size());
    const std::vector<int32_t> document = tokenizer.encode(text.substr(0, end));
    ids.insert(ids.end(), document.begin(), document.end());
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return ids;
}

// The text that stands beside the program's own model.
fs::path default_calibration(const Environment& environment) {
  const fs::path path = environment.default_model.parent_path() / "calibration.txt";
  std::error_code ignored;
  if (environment.default_model.empty() || !fs::is_regular_file(path, ignored))
    raise(ErrorCode::kNotFound,
          "--calibration: expected a text, since none stands beside this program's model. Hint: some hundred "
          "kilobytes of what the model will be used for");
  return path;
}

}  // namespace

std::string read_calibration(const QuantizeArguments& arguments, const Environment& environment) {
  const fs::path path =
      arguments.calibration.empty() ? default_calibration(environment) : fs::path(arguments.calibration);
  std::string text = read_text_file(path, kMaxCalibrationBytes);
  check_utf8(text, fmt::format("--calibration: {}", printable_path(path)));
  return text;
}

std::vector<int32_t> calibration_ids(const QuantizeArguments& arguments, const Model& model,
                                     std::string_view text) {
  std::vector<int32_t> ids = encode_documents(load_tokenizer(model), text);
  const auto n_most = static_cast<std::size_t>(arguments.n_samples * model.args().block_size);
  if (ids.size() > n_most) ids.resize(n_most);
  return ids;
}

namespace {

bool has_target(const QuantizeArguments& arguments) {
  return arguments.target_bits_per_weight > 0 || arguments.max_kl > 0;
}

// Bits for each matrix.
QuantizationArgs plan(const QuantizeArguments& arguments, const Model& model,
                      const QuantizeOptions& options) {
  std::optional<ProgressBar> bar;
  std::string shown;
  const MixedPlanTarget target = {arguments.target_bits_per_weight, arguments.max_kl};
  return plan_mixed(model, target, options, [&](std::string_view step, int64_t n_done, int64_t n_total) {
    if (!bar || shown != step) bar.emplace(std::string(step));
    shown = step;
    bar->show(n_done, n_total);
  });
}

std::pair<FolderExportReport, QuantizationArgs> quantize(const QuantizeArguments& arguments,
                                                         const Environment& environment) {
  const LayerQuantization& setting = arguments.setting;
  const QuantizationMethod method = *quantization_method_from_name(arguments.method);
  std::optional<ProgressBar> bar;
  const auto on_progress = [&bar](int64_t n_done, int64_t n_total) { bar->show(n_done, n_total); };
  if (method == QuantizationMethod::kRtn && !has_target(arguments)) {
    bar.emplace("quantize");
    FolderExportOptions options = {.form = FolderForm::kMlx};
    options.quantization = QuantizationArgs{.group_size = setting.group_size, .bits = setting.bits};
    options.dtype = float_type_from_name(arguments.dtype);
    options.rope_layout = rope_layout_from_name(arguments.source.rope);
    options.n_threads = arguments.source.threads;
    options.overwrite = arguments.overwrite;
    options.on_warning = warn;
    options.on_progress = on_progress;
    return {export_folder(model_path(arguments.source, environment), arguments.destination, options),
            *options.quantization};
  }
  const std::string text = read_calibration(arguments, environment);
  const Model model = load_model(arguments.source, environment);
  const std::vector<int32_t> ids = calibration_ids(arguments, model, text);
  QuantizeOptions options = {.method = method};
  options.setting = {.group_size = setting.group_size, .bits = setting.bits};
  options.dtype = float_type_from_name(arguments.dtype);
  options.calibration = ids;
  options.overwrite = arguments.overwrite;
  options.on_warning = warn;
  options.n_threads = arguments.source.threads;
  if (has_target(arguments)) options.setting = plan(arguments, model, options);
  bar.emplace("quantize");
  options.on_progress = on_progress;
  options.tune_epochs = arguments.tune_epochs;
  options.on_tune = [&bar](int64_t n_done, int64_t n_total) {
    if (n_done == 1) bar.emplace("tune");
    bar->show(n_done, n_total);
  };
  return {quantize_model(model, arguments.destination, options), options.setting};
}

// "4 bits", or "3 to 6 bits" of a plan.
std::string bits_text(const QuantizationArgs& setting) {
  int64_t least = setting.bits;
  int64_t most = setting.bits;
  for (const auto& [name, layer] : setting.layers) {
    if (!layer) continue;
    least = std::min(least, layer->bits);
    most = std::max(most, layer->bits);
  }
  return least == most ? fmt::format("{} bits", least) : fmt::format("{} to {} bits", least, most);
}

// Nothing that is given may be without effect.
void check_arguments(const QuantizeArguments& arguments) {
  if (arguments.destination.empty() == arguments.report.empty())
    raise(
        ErrorCode::kInvalidArgument,
        "quantize: expected a folder to write or --report, one of them, got {}. Hint: lille quantize --help",
        arguments.report.empty() ? "none" : "both");
  if (!arguments.report.empty()) {
    if (arguments.tune_epochs == 0) return;
    raise(ErrorCode::kInvalidArgument,
          "--tune-epochs: expected no --report with it, got {}, which measures the methods without tuning. "
          "Hint: lille diff SRC DIR --text FILE measures what is written",
          printable_path(arguments.report));
  }
  if (!arguments.text.empty())
    raise(
        ErrorCode::kInvalidArgument,
        "--text: expected --report with it, got none. Hint: lille diff SRC DIR --text FILE measures what is "
        "written");
  if (arguments.tune_epochs > 0 && arguments.method == "rtn")
    raise(ErrorCode::kInvalidArgument,
          "--tune-epochs: expected --method weighted or gptq with it, got --method rtn, which reads no text. "
          "Hint: add --method gptq");
  if (!arguments.calibration.empty() && arguments.method == "rtn" && !has_target(arguments))
    raise(
        ErrorCode::kInvalidArgument,
        "--calibration: expected --method weighted or gptq, a target or --report with it, got --method rtn, "
        "which reads no text. Hint: add --method gptq");
}

void run_quantize(const QuantizeArguments& arguments, const Environment& environment) {
  check_arguments(arguments);
  if (!arguments.report.empty()) return run_report(arguments, environment);
  const LayerQuantization& setting = arguments.setting;
  const auto [report, planned] = quantize(arguments, environment);
  if (arguments.json) {
    print(nlohmann::ordered_json{{"method", arguments.method},
                                 {"group_size", setting.group_size},
                                 {"bits", planned.bits},
                                 {"n_quantised", report.n_quantised},
                                 {"n_kept", report.n_kept},
                                 {"n_bytes", report.n_bytes},
                                 {"bits_per_weight", report.bits_per_weight}}
              .dump() +
          "\n");
    return;
  }
  print(fmt::format("{}: {} matrices in {}, groups of {}; {:.1f} MB, {:.3f} bits per weight\n",
                    printable_path(arguments.destination), report.n_quantised, bits_text(planned),
                    setting.group_size, static_cast<double>(report.n_bytes) * 1e-6, report.bits_per_weight));
  if (report.n_kept > 0)
    note(fmt::format("{} matrices stay float: groups of {} do not divide their rows", report.n_kept,
                     setting.group_size));
}

void add_target(CLI::App& command, std::string_view name, double& field, double max, std::string_view help) {
  const OptionSpec spec = {name, "", "X", help, 1e-6, max, ""};
  const auto read = [&field, spec](const std::string& text) {
    field = parse_number<double>(text, spec);
    if (!(field >= spec.min && field <= spec.max))
      raise(ErrorCode::kInvalidArgument, "--{}: expected a number from {} to {}, got \"{}\"", spec.name,
            spec.min, spec.max, printable(text));
  };
  command.add_option_function<std::string>("--" + std::string(name), read, std::string(help))->type_name("X");
}

}  // namespace

void add_quantize(CLI::App& program, const Environment& environment) {
  CLI::App* command = program.add_subcommand(
      "quantize", "Writes a copy of a model in MLX's quantised form, which mlx-lm and this program load.");
  const auto arguments = std::make_shared<QuantizeArguments>();
  command
      ->add_option("source", arguments->source.model,
                   "The model: a folder, a GGUF file or a .pt file, its weights in a float type.")
      ->required()
      ->type_name("SRC");
  command
      ->add_option("destination", arguments->destination,
                   "The folder to write; it appears whole or not at all. Without it: --report.")
      ->type_name("DIR");
  command->add_option("--bits", arguments->setting.bits, "Bits of a weight: 2, 3, 4, 5, 6 or 8.")
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--group-size", arguments->setting.group_size,
                   "Weights that share a scale and a bias: 32, 64 or 128.")
      ->type_name("N")
      ->capture_default_str();
  CLI::Option* dtype = command->add_option(
      "--dtype", arguments->dtype, "Type of scales, biases and norms; that of the weights if left out.");
  dtype->type_name("NAME");
  add_choices(*dtype, "float32|float16|bfloat16");
  CLI::Option* method =
      command->add_option("--method", arguments->method,
                          "How codes are chosen: rtn, round to nearest as MLX does; weighted, by the inputs "
                          "of each layer; gptq, errors made good by later columns.");
  method->type_name("NAME")->capture_default_str();
  add_choices(*method, "rtn|weighted|gptq");
  command
      ->add_option("--calibration", arguments->calibration,
                   "Text whose activations say which errors matter, for weighted and gptq; documents may "
                   "stand apart by lines of U+001E. Never the text that the result is measured on. Default: "
                   "280 kB of textbooks and novels beside the program's model.")
      ->type_name("FILE");
  command
      ->add_option("--num-samples", arguments->n_samples,
                   "Windows of block_size tokens that are read of the calibration text, from its beginning.")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command
      ->add_option("--tune-epochs", arguments->tune_epochs,
                   "Times that the calibration text is read once more, for weighted and gptq, to move codes, "
                   "scales and biases of all matrices together so that predictions come nearer the source's.")
      ->type_name("N")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  add_target(*command, "target-bits-per-weight", arguments->target_bits_per_weight, 8.999,
             "Bits are spent where predictions need them, and so many in the mean, scales and norms counted; "
             "--bits does not matter then.");
  add_target(*command, "max-kl", arguments->max_kl, 1000,
             "The same, with as few bits as keep the mean KL divergence from the source, in nats, on the end "
             "of the calibration text.");
  command
      ->add_option("--report", arguments->report,
                   "Writes no model but a page of HTML, and a table to stdout, of what 8, 6, 5, 4, 3 and 2 "
                   "bits cost by rtn, weighted and gptq: size, perplexity, divergence, speed.")
      ->type_name("FILE");
  command
      ->add_option("--text", arguments->text,
                   "For --report, the text on which formats are measured. Default: a page of English that is "
                   "built in.")
      ->type_name("FILE");
  command->add_flag("--overwrite", arguments->overwrite, "Replace the model's folder DST if it is there.");
  command->add_flag("--json", arguments->json, "Print an object with the sizes.");
  visit_options(arguments->source, [command](const OptionSpec& spec, auto& field) {
    if (spec.name == "model") return;
    CLI::Option* option = add_option(*command, spec, field)->type_name(std::string(spec.value_name));
    if (!spec.choices.empty()) add_choices(*option, spec.choices);
  });
  add_example(*command, "lille quantize lille-130m-base lille-130m-4bit --bits 4");
  command->callback([arguments, environment] { run_quantize(*arguments, environment); });
}

}  // namespace lille::cli
