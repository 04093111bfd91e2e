#include <fmt/format.h>

#include <memory>
#include <random>

#include "base/process.h"
#include "base/terminal.h"
#include "cli/answer.h"
#include "cli/cli.h"
#include "cli/draft.h"

namespace lille::cli {
namespace {

struct GenerateArguments {
  std::string prompt;
  ModelOptions model;
  ComputeOptions compute;
  GenerationOptions generation;
  DraftOptions draft;
  std::optional<std::string> prompt_cache;
  bool json = false;
  bool verbose = false;
};

void tell_speed(const GenerationResponse& last, const Session& session, uint64_t seed) {
  const std::string reused =
      last.n_cached_tokens > 0 ? fmt::format(" ({} reused)", last.n_cached_tokens) : "";
  const std::string speed =
      last.generation_tokens > 0
          ? fmt::format(", {:.1f} tokens/s, {:.3f} s to the first token", last.prompt_tps, last.prompt_s)
          : "";
  note(fmt::format("prompt: {} tokens{}{}", last.prompt_tokens, reused, speed));
  note(fmt::format("answer: {} tokens, {:.1f} tokens/s, ended by {}", last.generation_tokens,
                   last.generation_tps, finish_reason_name(*last.finish_reason)));
  note(fmt::format("seed {}, {} threads, {} kernels, peak memory {:.1f} MB", seed, session.n_threads(),
                   session.kernels(), static_cast<double>(peak_memory_bytes()) / 1e6));
}

WholeAnswer collect(StreamGenerate& stream, const GenerateArguments& arguments) {
  WholeAnswer answer;
  while (std::optional<GenerationResponse> response = stream.next()) {
    if (!arguments.json) print(response->text);
    answer.add(std::move(*response));
  }
  return answer;
}

void print_json(const WholeAnswer& answer, const GenerationOptions& options, uint64_t seed, bool has_draft,
                const Tokenizer& tokenizer) {
  nlohmann::ordered_json object = answer_json(answer, options, seed, tokenizer);
  object["cached_tokens"] = answer.last.n_cached_tokens;
  object["prompt_tps"] = answer.last.prompt_tps;
  object["prompt_s"] = answer.last.prompt_s;
  object["generation_tps"] = answer.last.generation_tps;
  if (has_draft) object["draft"] = draft_json(answer.last.draft, answer.last.generation_tokens);
  object["peak_memory_bytes"] = peak_memory_bytes();
  print(json_text(object, 2) + "\n");
}

void tell_dropped(const GenerationResponse& last) {
  if (last.n_dropped_tokens == 0) return;
  const std::string turns =
      last.n_dropped_turns > 0 ? fmt::format(", {} whole turns,", last.n_dropped_turns) : "";
  note(fmt::format("the oldest {} tokens of the prompt{} were left out: the context was too short",
                   last.n_dropped_tokens, turns));
}

// What can be said of the name is said before the answer; a disk without room shows itself after it.
void check_prompt_cache_path(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  std::error_code ignored;
  if (!path.has_filename() || std::filesystem::is_directory(path, ignored))
    raise(ErrorCode::kInvalidArgument, "--prompt-cache: expected the name of a file, got {}",
          path.empty() ? "an empty one" : printable_path(path));
  if (!std::filesystem::is_directory(folder, ignored))
    raise(ErrorCode::kNotFound, "--prompt-cache: {}: no such folder. Hint: make the folder first",
          printable_path(folder));
}

// The cache of --prompt-cache: what its file holds, or an empty one if there is no file yet.
PromptCache open_prompt_cache(const std::filesystem::path& path, const Session& session) {
  std::error_code failed;
  if (std::filesystem::status(path, failed).type() == std::filesystem::file_type::not_found)
    return make_prompt_cache(session);
  return load_prompt_cache(path, session.model(), {session.cache_type(), std::string(session.kernels())});
}

void check_arguments(const GenerateArguments& arguments) {
  check_ranges(arguments.generation);
  check_ranges(arguments.draft);
  if (arguments.prompt_cache) check_prompt_cache_path(*arguments.prompt_cache);
  const GenerationOptions& options = arguments.generation;
  if (!arguments.json && wants_logprobs(options))
    raise(ErrorCode::kInvalidArgument, "{}: expected --json beside it, which prints them",
          options.logprobs ? "--logprobs" : "--top-logprobs");
}

void run_generate(const GenerateArguments& arguments, const Environment& environment) {
  check_arguments(arguments);
  const Model model = load_model(arguments.model, environment);
  const Tokenizer tokenizer = load_tokenizer(model);
  const GenerationDefaults defaults = load_generation_defaults(model.path());
  Session session = make_session(model, arguments.model, arguments.compute, environment);

  StreamOptions options = make_stream_options(arguments.generation, defaults, tokenizer);
  if (!arguments.generation.seed) options.seed = std::random_device()();
  const uint64_t seed = options.seed;
  const Draft draft(arguments.draft, session, tokenizer, arguments.compute, environment);
  draft.use_for(options);

  std::optional<PromptCache> cache;
  if (arguments.prompt_cache) {
    cache = open_prompt_cache(*arguments.prompt_cache, session);
    options.prompt_cache = &*cache;
    options.reuse_prefix = true;
  }
  const std::string prompt = text_or_stdin(arguments.prompt);
  check_utf8(prompt, "prompt");
  const std::vector<int32_t> ids = prompt_ids(prompt, arguments.generation, defaults, tokenizer);
  StreamGenerate stream(session, tokenizer, ids, std::move(options));
  if (!arguments.json && stdout_is_terminal() && arguments.prompt != "-")
    print(fmt::format("\x1b[1m{}\x1b[0m", arguments.prompt));
  const WholeAnswer answer = collect(stream, arguments);
  if (arguments.json)
    print_json(answer, arguments.generation, seed, bool{draft}, tokenizer);
  else
    print("\n");
  if (cache) save_prompt_cache(*arguments.prompt_cache, *cache);
  tell_dropped(answer.last);
  if (arguments.verbose) tell_speed(answer.last, session, seed);
  if (arguments.verbose && draft) note(draft_text(answer.last.draft, answer.last.generation_tokens));
}

}  // namespace

void add_generate(CLI::App& program, const Environment& environment) {
  CLI::App* command = program.add_subcommand("generate", "Continues a text.");
  const auto arguments = std::make_shared<GenerateArguments>();
  command->add_option("prompt", arguments->prompt, "The text to continue; - reads it from stdin.")
      ->required();
  add_options(*command, arguments->model);
  add_options(*command, arguments->compute);
  add_options(*command, arguments->generation);
  add_options(*command, arguments->draft);
  command
      ->add_option("--prompt-cache", arguments->prompt_cache,
                   "Do not read again what this file has of the prompt; afterwards it holds this prompt and "
                   "answer. A new file is made; --max-tokens 0 only fills it.")
      ->type_name("FILE");
  command->add_flag("--json", arguments->json,
                    "Print one JSON object at the end instead of text as it is made.");
  command->add_flag("--verbose", arguments->verbose, "Tell speed, seed and memory on stderr.");
  add_example(*command, "lille generate \"Once upon a time\" --temp 0.7 --top-p 0.9 --seed 1");
  command->callback([arguments, environment] { run_generate(*arguments, environment); });
}

}  // namespace lille::cli
