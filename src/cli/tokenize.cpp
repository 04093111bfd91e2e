#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/cli.h"

namespace lille::cli {

void add_tokenize(CLI::App& program, const Environment& environment) {
  struct Arguments {
    std::string text;
    ModelOptions model;
    EncodeOptions encode;
    bool json = false;
  };
  CLI::App* command = program.add_subcommand("tokenize", "Turns a text into token ids.");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("text", arguments->text, "The text, any bytes; - reads it from stdin.")->required();
  command
      ->add_option("--model", arguments->model.model,
                   "Folder with the tokenizer files, a GGUF file, or OWNER/NAME on the hub.")
      ->type_name("MODEL");
  command->add_flag("--parse-special", arguments->encode.parse_special,
                    "Names such as <|user|> in the text become their ids instead of text.");
  command->add_flag(
      "--add-prefix-space", arguments->encode.add_prefix_space,
      "Put a space before the text, as the Hugging Face export does; the model was trained without.");
  command->add_flag("--json", arguments->json, "Print a JSON array.");
  add_example(*command, "lille tokenize \"A cat sat on the mat.\"");
  command->callback([arguments, environment] {
    const Tokenizer tokenizer = Tokenizer::load(model_path(arguments->model, environment));
    const std::vector<int32_t> ids = tokenizer.encode(text_or_stdin(arguments->text), arguments->encode);
    print(arguments->json ? nlohmann::json(ids).dump() + "\n" : fmt::format("{}\n", fmt::join(ids, ",")));
  });
}

void add_detokenize(CLI::App& program, const Environment& environment) {
  struct Arguments {
    std::string ids;
    ModelOptions model;
  };
  CLI::App* command = program.add_subcommand("detokenize", "Turns token ids into their text, byte for byte.");
  const auto arguments = std::make_shared<Arguments>();
  command
      ->add_option("ids", arguments->ids, "Ids with commas between them: 7454,2402; - reads them from stdin.")
      ->required();
  command
      ->add_option("--model", arguments->model.model,
                   "Folder with the tokenizer files, a GGUF file, or OWNER/NAME on the hub.")
      ->type_name("MODEL");
  add_example(*command, "lille detokenize 32,3797,3332");
  command->callback([arguments, environment] {
    const Tokenizer tokenizer = Tokenizer::load(model_path(arguments->model, environment));
    const std::string ids = text_or_stdin(arguments->ids);
    // What tokenize prints of an empty text.
    if (ids.find_first_not_of(" \t\r\n") == std::string::npos) return;
    print(tokenizer.decode(parse_ids(ids, "ids")));
  });
}

}  // namespace lille::cli
