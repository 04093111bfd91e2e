#include "lille/convert.h"

#include <fmt/format.h>

#include <array>
#include <memory>

#include "cli/cli.h"
#include "lille/generate.h"

namespace lille::cli {
namespace {

struct ConvertArguments {
  ModelOptions model;
  std::string target;
  std::string format = "gguf";
  std::string quantize;
  std::string dtype;
  bool overwrite = false;
};

// "NAME" of OWNER/NAME, whose folder is called after a commit; else what the folder or file is called.
std::string model_name(const std::string& named, const Model& model) {
  std::error_code ignored;
  const bool is_here = std::filesystem::exists(named, ignored);
  const std::filesystem::path path =
      is_here ? model.path().lexically_normal() : std::filesystem::path(named.substr(0, named.find('@')));
  return path.filename().string();
}

// The template that is written is Lille's, so one that is not must not vanish unseen.
void warn_of_chat_template(const Model& model) {
  try {
    check_chat_template(model.path());
  } catch (const Error& error) {
    note(
        fmt::format("warning: the file gets Lille's chat template instead of the model's: {}", error.what()));
  }
}

void to_gguf(const Model& model, const ConvertArguments& arguments) {
  const GenerationDefaults defaults = load_generation_defaults(model.path());
  GgufExportOptions options;
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
  options.on_warning = [](std::string_view message) { note(fmt::format("warning: {}", message)); };
  warn_of_chat_template(model);
  export_gguf(model, load_tokenizer(model), arguments.target, options);
}

/// A form that can be written.
struct Format {
  std::string_view name;
  void (*write)(const Model& model, const ConvertArguments& arguments);
};

constexpr std::array<Format, 1> kFormats = {{{"gguf", to_gguf}}};

std::string format_names() {
  std::string names;
  for (const Format& format : kFormats) names += fmt::format("{}{}", names.empty() ? "" : ", ", format.name);
  return names;
}

// Types are written in capitals in GGUF; a user may not.
std::string upper(std::string text) {
  for (char& character : text)
    if (character >= 'a' && character <= 'z') character = static_cast<char>(character - 'a' + 'A');
  return text;
}

void run_convert(ConvertArguments arguments, const Environment& environment) {
  arguments.quantize = upper(arguments.quantize);
  arguments.dtype = upper(arguments.dtype);
  if (!arguments.quantize.empty() && !arguments.dtype.empty())
    raise(ErrorCode::kInvalidArgument,
          "--quantize: expected it or --dtype, got both. Hint: --quantize decides all types");
  const OptionSpec dtypes = {"dtype", "", "TYPE", "", 0, 0, "F32|F16|BF16"};
  check_choice(dtypes, arguments.dtype);
  for (const Format& format : kFormats) {
    if (format.name != arguments.format) continue;
    format.write(load_model(arguments.model, environment), arguments);
    print(fmt::format("wrote {}\n", printable_path(arguments.target)));
    return;
  }
  raise(ErrorCode::kInvalidArgument, "--format: expected one of {}, got \"{}\"", format_names(),
        printable(arguments.format));
}

}  // namespace

void add_convert(CLI::App& program, const Environment& environment) {
  CLI::App* command = program.add_subcommand("convert", "Writes a model in another form.");
  const auto arguments = std::make_shared<ConvertArguments>();
  command->add_option("source", arguments->model.model, "The model: a folder or a GGUF file.")
      ->required()
      ->type_name("SRC");
  command->add_option("target", arguments->target, "What is written: for gguf, a file.")
      ->required()
      ->type_name("DST");
  command->add_option("--format", arguments->format, "Form to write: " + format_names() + ".")
      ->type_name("FORM");
  command
      ->add_option(
          "--quantize", arguments->quantize,
          "Q8_0, Q4_0, Q5_0, Q4_K_M or Q6_K, as llama.cpp's quantiser mixes types. Default: as stored.")
      ->type_name("TYPE");
  command->add_option("--dtype", arguments->dtype, "F32, F16 or BF16 for all matrices. Default: as stored.")
      ->type_name("TYPE");
  command->add_flag("--overwrite", arguments->overwrite, "Replace DST if it is there.");
  visit_options(arguments->model, [command](const OptionSpec& spec, auto& field) {
    if (spec.name != "model") add_option(*command, spec, field)->type_name(std::string(spec.value_name));
  });
  add_example(*command, "lille convert models/lille-tiny-8bit lille-tiny.gguf --quantize Q8_0");
  command->callback([arguments, environment] { run_convert(*arguments, environment); });
}

}  // namespace lille::cli
