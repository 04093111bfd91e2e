#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/cli.h"
#include "lille/convert.h"

namespace lille::cli {
namespace {

struct QuantizeArguments {
  ModelOptions source;
  std::string destination;
  std::string dtype;
  bool json = false;
  LayerQuantization setting = {.group_size = 64, .bits = 4};  // mlx-lm's defaults.
  bool overwrite = false;
};

void run_quantize(const QuantizeArguments& arguments, const Environment& environment) {
  const LayerQuantization& setting = arguments.setting;
  FolderExportOptions options = {.form = FolderForm::kMlx, .quantization = setting};
  options.dtype = float_type_from_name(arguments.dtype);
  options.overwrite = arguments.overwrite;
  options.on_warning = warn;
  const std::filesystem::path source = model_path(arguments.source, environment);
  FolderExportReport report;
  {
    ProgressBar bar("quantize");
    options.on_progress = [&bar](int64_t n_done, int64_t n_parameters) { bar.show(n_done, n_parameters); };
    report = export_folder(source, arguments.destination, options);
  }
  if (arguments.json) {
    print(nlohmann::ordered_json{{"group_size", setting.group_size},
                                 {"bits", setting.bits},
                                 {"n_quantised", report.n_quantised},
                                 {"n_kept", report.n_kept},
                                 {"n_bytes", report.n_bytes},
                                 {"bits_per_weight", report.bits_per_weight}}
              .dump() +
          "\n");
    return;
  }
  print(fmt::format("{}: {} matrices in {} bits, groups of {}; {:.1f} MB, {:.3f} bits per weight\n",
                    printable_path(arguments.destination), report.n_quantised, setting.bits,
                    setting.group_size, static_cast<double>(report.n_bytes) * 1e-6, report.bits_per_weight));
  if (report.n_kept > 0)
    note(fmt::format("{} matrices stay float: groups of {} do not divide their rows", report.n_kept,
                     setting.group_size));
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
                   "The folder to write; it appears whole or not at all.")
      ->required()
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
  command->add_flag("--overwrite", arguments->overwrite, "Replace the model's folder DST if it is there.");
  command->add_flag("--json", arguments->json, "Print an object with the sizes.");
  add_example(*command, "lille quantize lille-130m-base lille-130m-4bit --bits 4");
  command->callback([arguments, environment] { run_quantize(*arguments, environment); });
}

}  // namespace lille::cli
