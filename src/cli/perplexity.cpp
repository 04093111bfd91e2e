#include "lille/perplexity.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/dtype.h"
#include "base/mapped_file.h"
#include "cli/cli.h"

namespace lille::cli {
namespace {

struct PerplexityArguments {
  std::string text_file;
  std::string ids_file;
  bool json = false;
  ModelOptions model;
  ComputeOptions compute;
};

std::vector<int32_t> read_ids(const PerplexityArguments& arguments, const Model& model) {
  if (!arguments.text_file.empty()) {
    const MappedFile file(arguments.text_file);
    const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
    return load_tokenizer(model).encode(text);
  }
  const MappedFile file(arguments.ids_file);
  if (file.bytes().size() % 2 != 0)
    raise(ErrorCode::kInvalidArgument,
          "--ids-file: {}: expected two bytes for each id, got an odd number of bytes, {}",
          printable_path(arguments.ids_file), file.bytes().size());
  std::vector<int32_t> ids;
  for (std::size_t offset = 0; offset < file.bytes().size(); offset += 2) {
    const auto low = static_cast<unsigned>(file.bytes()[offset]);
    const auto high = static_cast<unsigned>(file.bytes()[offset + 1]);
    ids.push_back(static_cast<int32_t>(low | (high << 8)));
  }
  return ids;
}

void run_perplexity(const PerplexityArguments& arguments, const Environment& environment) {
  if (arguments.text_file.empty() == arguments.ids_file.empty())
    raise(ErrorCode::kInvalidArgument,
          "perplexity: expected --text or --ids-file, one of them. Hint: lille perplexity --help");
  const Model model = load_model(arguments.model, environment);
  const std::vector<int32_t> ids = read_ids(arguments, model);
  Session session = make_session(model, arguments.model, arguments.compute, environment);
  PerplexityResult result;
  {
    ProgressBar bar("perplexity");
    PerplexityOptions options;
    options.on_progress = [&bar](int64_t n_done, int64_t n_windows) { bar.show(n_done, n_windows); };
    result = perplexity(session, ids, options);
  }
  const std::size_t n_windows = result.window_losses.size();
  if (arguments.json) {
    print(nlohmann::ordered_json{
              {"perplexity", result.perplexity}, {"loss", result.loss}, {"windows", n_windows}}
              .dump() +
          "\n");
  } else {
    print(fmt::format("perplexity {:.4f}, loss {:.6f} over {} window{} of {} tokens\n", result.perplexity,
                      result.loss, n_windows, n_windows == 1 ? "" : "s", model.args().block_size));
  }
}

}  // namespace

void add_perplexity(CLI::App& program, const Environment& environment) {
  CLI::App* command = program.add_subcommand(
      "perplexity",
      "Measures how well the model predicts a text, in windows of block_size tokens without overlap.");
  const auto arguments = std::make_shared<PerplexityArguments>();
  command->add_option("--text", arguments->text_file, "The text; <|startoftext|> is not added.")
      ->type_name("FILE");
  command
      ->add_option("--ids-file", arguments->ids_file, "Token ids instead of text: raw little-endian uint16.")
      ->type_name("FILE");
  command->add_flag("--json", arguments->json, "Print an object with perplexity, loss and windows.");
  add_options(*command, arguments->model);
  add_options(*command, arguments->compute);
  add_example(*command, "lille perplexity --text README.md --json");
  command->callback([arguments, environment] { run_perplexity(*arguments, environment); });
}

}  // namespace lille::cli
