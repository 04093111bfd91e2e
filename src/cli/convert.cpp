#include "lille/convert.h"

#include <fmt/format.h>

#include <array>
#include <memory>

#include "cli/cli.h"
#include "hub/hub_name.h"
#include "lille/defaults.h"

namespace lille::cli {
namespace {

struct ConvertArguments {
  ModelOptions model;
  std::string target;
  std::string format;
  std::string quantize;
  std::string dtype;
  bool pack = false;
  bool pure = false;
  bool overwrite = false;
};

// "NAME" of OWNER/NAME, whose folder is called after a commit; else what the folder or file is called.
std::string model_name(const std::string& named, const Model& model) {
  std::error_code ignored;
  const std::optional<HubName> hub = parse_hub_name(named);
  if (hub && !std::filesystem::exists(named, ignored)) return hub->name;
  const std::filesystem::path path = model.path().lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

void refuse_pack(const ConvertArguments& arguments) {
  if (arguments.pack)
    raise(ErrorCode::kInvalidArgument, "--pack: expected --format mlx with it, got {}", arguments.format);
}

void refuse_pure(const ConvertArguments& arguments) {
  if (arguments.pure)
    raise(ErrorCode::kInvalidArgument, "--pure: expected --format gguf and --quantize with it, got {}",
          arguments.format == "gguf" ? "no --quantize" : arguments.format);
}

void to_gguf(const Model& model, const ConvertArguments& arguments) {
  refuse_pack(arguments);
  if (arguments.quantize.empty()) refuse_pure(arguments);
  if (!arguments.quantize.empty() && !arguments.dtype.empty())
    raise(ErrorCode::kInvalidArgument,
          "--quantize: expected it or --dtype, got both. Hint: --quantize decides all types");
  const GenerationDefaults defaults = load_generation_defaults(model.path());
  GgufExportOptions options;
  options.pure = arguments.pure;
  options.type = arguments.quantize.empty() ? arguments.dtype : arguments.quantize;
  options.name = model_name(arguments.model.model, model);
  options.add_bos_token = defaults.add_bos_token;
  options.temperature = defaults.temperature;
  options.top_p = defaults.top_p;
  options.top_k = defaults.top_k;
  options.min_p = defaults.min_p;
  options.repetition_penalty = defaults.repetition_penalty;
  options.overwrite = arguments.overwrite;
  options.n_threads = arguments.model.threads;
  options.on_warning = warn;
  export_gguf(model, load_tokenizer(model), arguments.target, options);
}

void to_folder(const Model& model, const ConvertArguments& arguments, FolderExportOptions options) {
  refuse_pure(arguments);
  options.dtype = float_type_from_name(arguments.dtype);
  if (model.rope().source != RopeSource::kDefault) options.rope_layout = model.rope().layout;
  options.overwrite = arguments.overwrite;
  options.n_threads = arguments.model.threads;
  options.on_warning = warn;
  FolderExportReport report;
  {
    ProgressBar bar("convert");
    options.on_progress = [&bar](int64_t n_done, int64_t n_parameters) { bar.show(n_done, n_parameters); };
    report = export_folder(model.path(), arguments.target, options);
  }
  if (report.n_dequantised > 0)
    note(fmt::format("{} quantised matrices were written as {}{}", report.n_dequantised,
                     options.dtype ? arguments.dtype : "F32, which holds their values exactly",
                     options.dtype ? "" : "; --dtype BF16 halves that"));
  if (report.n_kept > 0)
    note(fmt::format("{} matrices stay float: groups of {} do not divide their rows", report.n_kept,
                     options.quantization->group_size));
}

void to_hf(const Model& model, const ConvertArguments& arguments) {
  refuse_pack(arguments);
  if (!arguments.quantize.empty())
    raise(ErrorCode::kInvalidArgument,
          "--quantize: expected nothing for a folder in the form hf, whose weights are floats, got \"{}\". "
          "Hint: --format mlx or gguf",
          printable(arguments.quantize));
  to_folder(model, arguments, {.form = FolderForm::kHf});
}

// BITS or BITS,GROUP.
QuantizationArgs parse_setting(const std::string& text) {
  const std::size_t comma = text.find(',');
  const OptionSpec bits = {"quantize", "", "BITS[,GROUP]", "", 2, 8, ""};
  const OptionSpec group_size = {"quantize", "", "BITS[,GROUP]", "", 32, 128, ""};
  QuantizationArgs setting;
  setting.bits = parse_number<int64_t>(text.substr(0, comma), bits);
  if (comma != text.npos) setting.group_size = parse_number<int64_t>(text.substr(comma + 1), group_size);
  return setting;
}

void to_mlx(const Model& model, const ConvertArguments& arguments) {
  FolderExportOptions options = {.form = FolderForm::kMlx};
  options.pack = arguments.pack;
  if (!arguments.quantize.empty()) options.quantization = parse_setting(arguments.quantize);
  to_folder(model, arguments, options);
}

/// A form that can be written.
struct Format {
  std::string_view name;
  void (*write)(const Model& model, const ConvertArguments& arguments);
};

constexpr std::array<Format, 3> kFormats = {{{"hf", to_hf}, {"mlx", to_mlx}, {"gguf", to_gguf}}};

// Types are written in capitals; a user may not.
std::string upper(std::string text) {
  for (char& character : text)
    if (character >= 'a' && character <= 'z') character = static_cast<char>(character - 'a' + 'A');
  return text;
}

// A type as GGUF calls it, also where it is called as in mlx-lm: "F16" for "float16".
std::string short_dtype(const std::string& name) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kLongNames = {
      {{"FLOAT32", "F32"}, {"FLOAT16", "F16"}, {"BFLOAT16", "BF16"}}};
  for (const auto& [long_name, short_name] : kLongNames)
    if (name == long_name) return std::string(short_name);
  return name;
}

void run_convert(ConvertArguments arguments, const Environment& environment) {
  arguments.quantize = upper(arguments.quantize);
  arguments.dtype = short_dtype(upper(arguments.dtype));
  const OptionSpec dtypes = {"dtype", "", "TYPE", "", 0, 0, "F32|F16|BF16"};
  check_choice(dtypes, arguments.dtype);
  if (arguments.format.empty())
    arguments.format = upper(std::filesystem::path(arguments.target).extension().string()) == ".GGUF" ? "gguf"
                       : arguments.pack                                                               ? "mlx"
                                                                                                      : "hf";
  for (const Format& format : kFormats) {
    if (format.name != arguments.format) continue;
    format.write(load_model(arguments.model, environment), arguments);
    print(fmt::format("wrote {}\n", printable_path(arguments.target)));
  }
}

}  // namespace

void add_convert(CLI::App& program, const Environment& environment) {
  CLI::App* command = program.add_subcommand("convert", "Writes a model in another form.");
  const auto arguments = std::make_shared<ConvertArguments>();
  command->add_option("source", arguments->model.model, "The model: a folder, a GGUF file or a .pt file.")
      ->required()
      ->type_name("SRC");
  command->add_option("target", arguments->target, "What is written: a folder, or for gguf a file.")
      ->required()
      ->type_name("DST");
  CLI::Option* format = command->add_option(
      "--format", arguments->format,
      "Form to write. Default: gguf if DST ends in .gguf, else hf, which mlx-lm reads too.");
  format->type_name("FORM");
  add_choices(*format, "hf|mlx|gguf");
  command
      ->add_option("--quantize", arguments->quantize,
                   "For mlx, bits and perhaps the group: 4 or 8,32. For gguf Q8_0, Q4_0, Q5_0, Q4_K_M or "
                   "Q6_K, as llama.cpp's quantiser mixes types. Default: as stored.")
      ->type_name("HOW");
  command
      ->add_option("--dtype", arguments->dtype,
                   "F32, F16 or BF16 (or float32, ...) for all matrices; with --format mlx --quantize for "
                   "scales, biases and "
                   "norms. Default: as stored, and F32 for quantised weights that become floats.")
      ->type_name("TYPE");
  command->add_flag("--pure", arguments->pure,
                    "For gguf with --quantize: the one type for all matrices, the embedding too.");
  command->add_flag(
      "--pack", arguments->pack,
      "For mlx, codes of 4 or 8 bits: order the weights for the processor. Fastest, and read by lille only; "
      "converting again unpacks.");
  command->add_flag("--overwrite", arguments->overwrite, "Replace DST if it is there.");
  visit_options(arguments->model, [command](const OptionSpec& spec, auto& field) {
    if (spec.name != "model") add_option(*command, spec, field)->type_name(std::string(spec.value_name));
  });
  add_example(*command, "lille convert models/lille-tiny-8bit lille-tiny.gguf --quantize Q8_0");
  command->callback([arguments, environment] { run_convert(*arguments, environment); });
}

}  // namespace lille::cli
