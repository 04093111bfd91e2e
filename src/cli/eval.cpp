#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/check.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "cli/cli.h"
#include "lille/multiple_choice.h"

namespace lille::cli {
namespace {

using Json = nlohmann::ordered_json;

struct EvalArguments {
  std::vector<std::string> files;
  std::string output;
  bool bos = false;
  bool json = false;
  ModelOptions model;
  ComputeOptions compute;
};

// The questions of one file and how they were answered.
struct Task {
  std::string file;
  std::vector<ChoiceItem> items;
  ChoiceResult result;
};

std::vector<Task> read_tasks(const std::vector<std::string>& files) {
  std::vector<Task> tasks;
  for (const std::string& file : files) tasks.push_back({file, read_choice_items(file), {}});
  return tasks;
}

void answer(std::vector<Task>& tasks, Session& session, const Tokenizer& tokenizer,
            const ChoiceOptions& common) {
  int64_t n_items = 0;
  for (const Task& task : tasks) n_items += static_cast<int64_t>(task.items.size());
  ProgressBar bar("eval", ProgressBar::kPatience);
  int64_t n_before = 0;
  for (Task& task : tasks) {
    ChoiceOptions options = common;
    options.on_progress = [&](int64_t n_done, int64_t) { bar.show(n_before + n_done, n_items); };
    try {
      task.result = score_choices(session, tokenizer, task.items, options);
    } catch (const Error& error) {
      raise(error.code(), "{}: {}", printable_path(task.file), error.what());
    }
    n_before += static_cast<int64_t>(task.items.size());
  }
}

// "0.4167 +/- 0.0725"
std::string accuracy_text(const Accuracy& accuracy) {
  if (std::isnan(accuracy.standard_error)) return fmt::format("{:.4f}", accuracy.value);
  return fmt::format("{:.4f} +/- {:.4f}", accuracy.value, accuracy.standard_error);
}

std::string protocol_text(const std::vector<Task>& tasks, bool bos) {
  int64_t n_tokens = 0;
  int64_t n_cut = 0;
  for (const Task& task : tasks) {
    n_tokens += task.result.n_tokens;
    n_cut += task.result.n_cut;
  }
  return fmt::format(
      "no examples before a question, {} <|startoftext|>; acc by the log-likelihood of each choice, acc_norm "
      "by that for a "
      "character; {} tokens scored{}",
      bos ? "each begins with" : "without", n_tokens,
      n_cut == 0 ? "" : fmt::format("; {} choices with the beginning of their context cut off", n_cut));
}

std::string as_text(const std::vector<Task>& tasks, bool bos) {
  std::size_t n_columns = 4;
  for (const Task& task : tasks) n_columns = std::max(n_columns, printable_path(task.file).size());
  std::string text = fmt::format("{:<{}} {:>6}  {:<17}  {}\n", "file", n_columns, "items", "acc", "acc_norm");
  for (const Task& task : tasks)
    text += fmt::format("{:<{}} {:>6}  {:<17}  {}\n", printable_path(task.file), n_columns, task.items.size(),
                        accuracy_text(task.result.acc), accuracy_text(task.result.acc_norm));
  return text + "protocol: " + protocol_text(tasks, bos) + "\n";
}

Json as_json(const std::vector<Task>& tasks, bool bos) {
  Json object = {{"tasks", Json::array()}, {"protocol", {{"bos", bos}, {"examples", 0}}}};
  for (const Task& task : tasks)
    object["tasks"].push_back({{"file", printable_path(task.file)},
                               {"n_items", task.items.size()},
                               {"acc", task.result.acc.value},
                               {"acc_stderr", task.result.acc.standard_error},
                               {"acc_norm", task.result.acc_norm.value},
                               {"acc_norm_stderr", task.result.acc_norm.standard_error},
                               {"n_tokens", task.result.n_tokens},
                               {"n_cut", task.result.n_cut}});
  return object;
}

Json item_json(const Task& task, std::size_t item_idx) {
  const ChoiceItem& item = task.items[item_idx];
  const ItemScore& score = task.result.items[item_idx];
  Json object = {{"file", printable_path(task.file)}, {"item", item_idx + 1},
                 {"context", item.context},           {"answer", score.answer},
                 {"likeliest", score.likeliest},      {"likeliest_norm", score.likeliest_norm},
                 {"choices", Json::array()}};
  for (std::size_t idx = 0; idx < item.choices.size(); ++idx)
    object["choices"].push_back({{"text", item.choices[idx]},
                                 {"log_likelihood", score.choices[idx].log_likelihood},
                                 {"n_tokens", score.choices[idx].n_tokens},
                                 {"n_characters", score.choices[idx].n_characters},
                                 {"n_bytes", score.choices[idx].n_bytes},
                                 {"is_cut", score.choices[idx].is_cut}});
  return object;
}

void run_eval(const EvalArguments& arguments, const Environment& environment) {
  Interrupts interrupts;
  std::vector<Task> tasks = read_tasks(arguments.files);
  // Before the work, so that a place where nothing can be written is told at once.
  std::optional<AtomicFile> output;
  if (!arguments.output.empty()) output.emplace(arguments.output);
  const Model model = load_model(arguments.model, environment);
  const Tokenizer tokenizer = load_tokenizer(model);
  Session session = make_session(model, arguments.model, arguments.compute, environment);
  answer(tasks, session, tokenizer, {.bos = arguments.bos, .on_progress = {}, .cancel = interrupts.token()});
  if (output) {
    for (const Task& task : tasks)
      for (std::size_t idx = 0; idx < task.items.size(); ++idx)
        output->write(item_json(task, idx).dump() + "\n");
    output->commit();
  }
  print(arguments.json ? as_json(tasks, arguments.bos).dump(2) + "\n" : as_text(tasks, arguments.bos));
}

}  // namespace

void add_eval(CLI::App& program, const Environment& environment) {
  CLI::App* command = program.add_subcommand(
      "eval", "Answers multiple-choice questions by log-likelihood, as lm-evaluation-harness scores them.");
  const auto arguments = std::make_shared<EvalArguments>();
  // Taken as they are: CLI11 would read [a,b] as a list.
  const auto take = [arguments](const CLI::results_t& texts) {
    arguments->files = texts;
    return true;
  };
  command
      ->add_option("file", take,
                   "Questions as JSON Lines: context, choices and answer, or the fields of HellaSwag, ARC or "
                   "PIQA; several "
                   "files are scored one by one.")
      ->required()
      ->type_name("FILE")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->expected(1, CLI::detail::expected_max_vector_size)
      ->allow_extra_args();
  command
      ->add_option("--output", arguments->output, "Write each question with its scores there, as JSON Lines.")
      ->type_name("PATH");
  command->add_flag("--bos", arguments->bos,
                    "Begin each question with <|startoftext|>, which the base model never saw.");
  command->add_flag("--json", arguments->json, "Print one JSON object.");
  add_options(*command, arguments->model);
  add_options(*command, arguments->compute);
  add_example(*command, "lille eval tasks/facts.jsonl tasks/grammar.jsonl");
  command->callback([arguments, environment] { run_eval(*arguments, environment); });
}

}  // namespace lille::cli
