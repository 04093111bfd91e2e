#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "base/process.h"
#include "base/terminal.h"
#include "cli/cli.h"

namespace lille::cli {
namespace {

struct GenerateArguments {
  std::string prompt;
  ModelOptions model;
  GenerationOptions generation;
  bool bos = false;
  bool no_bos = false;
  bool json = false;
  bool verbose = false;
};

std::vector<int32_t> prompt_ids(const GenerateArguments& arguments, const Tokenizer& tokenizer,
                                const GenerationDefaults& defaults) {
  const std::string prompt = text_or_stdin(arguments.prompt);
  check_utf8(prompt, "prompt");
  std::vector<int32_t> ids = tokenizer.encode(prompt);
  const bool add_bos = arguments.bos || (!arguments.no_bos && defaults.add_bos_token);
  if (add_bos) ids.insert(ids.begin(), tokenizer.bos_token_id());
  if (ids.empty())
    raise(ErrorCode::kInvalidArgument,
          "prompt: expected a text, got an empty one without <|startoftext|>. Hint: write a prompt or use "
          "--bos");
  return ids;
}

void tell_speed(const GenerationResponse& last, const Session& session, uint64_t seed) {
  note(fmt::format("prompt: {} tokens, {:.1f} tokens/s, {:.3f} s to the first token", last.prompt_tokens,
                   last.prompt_tps, last.prompt_s));
  note(fmt::format("answer: {} tokens, {:.1f} tokens/s, ended by {}", last.generation_tokens,
                   last.generation_tps, finish_reason_name(*last.finish_reason)));
  note(fmt::format("seed {}, {} threads, {} kernels, peak memory {:.1f} MB", seed, session.n_threads(),
                   session.kernels(), static_cast<double>(peak_memory_bytes()) / 1e6));
}

nlohmann::json answer_json(const std::string& text, const std::vector<int32_t>& tokens,
                           const GenerationResponse& last, uint64_t seed) {
  return {{"text", text},
          {"tokens", tokens},
          {"finish_reason", finish_reason_name(*last.finish_reason)},
          {"seed", seed},
          {"prompt_tokens", last.prompt_tokens},
          {"prompt_tps", last.prompt_tps},
          {"prompt_s", last.prompt_s},
          {"generation_tokens", last.generation_tokens},
          {"generation_tps", last.generation_tps},
          {"peak_memory_bytes", peak_memory_bytes()}};
}

void run_generate(const GenerateArguments& arguments, const Environment& environment) {
  check_ranges(arguments.generation);
  const std::filesystem::path folder = model_folder(arguments.model, environment);
  const Model model = load_model(arguments.model, environment);
  const Tokenizer tokenizer = Tokenizer::load(folder);
  const GenerationDefaults defaults = load_generation_defaults(folder);
  Session session = make_session(model, arguments.model, environment);

  GenerateStepOptions options;
  options.max_tokens = arguments.generation.max_tokens;
  options.sampler = make_sampler(arguments.generation, defaults, model.args().vocab_size);
  options.seed = arguments.generation.seed ? *arguments.generation.seed : std::random_device()();
  const uint64_t seed = options.seed;

  const std::vector<int32_t> ids = prompt_ids(arguments, tokenizer, defaults);
  StreamGenerate stream(session, tokenizer, ids, std::move(options));
  const bool is_streamed = !arguments.json;
  if (is_streamed && stdout_is_terminal() && arguments.prompt != "-")
    print(fmt::format("\x1b[1m{}\x1b[0m", arguments.prompt));
  std::string text;
  std::vector<int32_t> tokens;
  GenerationResponse last;
  while (std::optional<GenerationResponse> response = stream.next()) {
    if (is_streamed) print(response->text);
    text += response->text;
    if (response->token) tokens.push_back(*response->token);
    last = std::move(*response);
  }
  print(arguments.json ? answer_json(text, tokens, last, seed)
                                 .dump(2, ' ', false, nlohmann::json::error_handler_t::replace) +
                             "\n"
                       : "\n");
  if (arguments.verbose) tell_speed(last, session, seed);
}

}  // namespace

void add_generate(CLI::App& program, const Environment& environment) {
  CLI::App* command = program.add_subcommand("generate", "Continues a text.");
  const auto arguments = std::make_shared<GenerateArguments>();
  command->add_option("prompt", arguments->prompt, "The text to continue; - reads it from stdin.")
      ->required();
  add_options(*command, arguments->model);
  add_options(*command, arguments->generation);
  CLI::Option* bos = command->add_flag(
      "--bos", arguments->bos,
      "Begin with <|startoftext|>. Default: add_bos_token of tokenizer_config.json, else yes.");
  command->add_flag("--no-bos", arguments->no_bos, "Do not begin with <|startoftext|>.")->excludes(bos);
  command->add_flag("--json", arguments->json,
                    "Print one JSON object at the end instead of text as it is made.");
  command->add_flag("--verbose", arguments->verbose, "Tell speed, seed and memory on stderr.");
  command->callback([arguments, environment] { run_generate(*arguments, environment); });
}

}  // namespace lille::cli
