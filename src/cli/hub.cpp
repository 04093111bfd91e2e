#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "cli/cli.h"

namespace lille::cli {
namespace {

constexpr std::size_t kShortCommitChars = 7;

// "main (1a2b3c4)", "1a2b3c4", or what tells that a first download is not done.
std::string revision_text(const CachedModel& model) {
  if (model.commit.empty()) return "(not whole)";
  const std::string commit = printable(model.commit.substr(0, kShortCommitChars));
  return model.refs.empty() ? commit : printable(fmt::format("{} ({})", fmt::join(model.refs, ", "), commit));
}

std::string as_json(const std::vector<CachedModel>& models) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const CachedModel& model : models)
    list.push_back(
        {{"name", model.name},
         {"commit", model.commit.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(model.commit)},
         {"refs", model.refs},
         {"n_bytes", model.n_bytes},
         {"folder", model.folder.string()}});
  return list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string as_table(const std::vector<CachedModel>& models) {
  std::size_t name_columns = 4;
  std::size_t revision_columns = 8;
  for (const CachedModel& model : models) {
    name_columns = std::max(name_columns, model.name.size());
    revision_columns = std::max(revision_columns, revision_text(model).size());
  }
  std::string table = fmt::format("{:<{}}  {:<{}}  {:>12}  {}\n", "NAME", name_columns, "REVISION",
                                  revision_columns, "SIZE", "FOLDER");
  for (const CachedModel& model : models)
    table += fmt::format("{:<{}}  {:<{}}  {:>12}  {}\n", model.name, name_columns, revision_text(model),
                         revision_columns, megabytes(model.n_bytes), printable_path(model.folder));
  return table;
}

std::filesystem::path cache_folder() {
  std::filesystem::path folder = read_hub_options().cache_folder;
  if (folder.empty())
    raise(ErrorCode::kNotFound, "models: expected a cache of models, got none. Hint: set HOME or HF_HOME");
  return folder;
}

void list_models(bool is_json) {
  const std::filesystem::path folder = cache_folder();
  const std::vector<CachedModel> models = cached_models(folder);
  print(is_json ? as_json(models) : as_table(models));
  if (models.empty() && !is_json)
    note(fmt::format("{} holds no models; lille pull OWNER/NAME brings one", printable_path(folder)));
}

bool is_agreed(const ModelRemoval& removal) {
  print_to_stderr(fmt::format("Remove {} ({} revision{}, {}) from the cache? [y/N] ", removal.name,
                              removal.n_revisions, removal.n_revisions == 1 ? "" : "s",
                              megabytes(removal.n_bytes)));
  std::string answer;
  if (!std::getline(std::cin, answer)) {
    print_to_stderr("\n");
    raise(ErrorCode::kInvalidArgument,
          "models rm: expected y or n, got no answer. Hint: --yes removes without asking");
  }
  return answer == "y" || answer == "Y" || answer == "yes";
}

void remove_from_cache(const std::string& name, bool is_yes) {
  const std::filesystem::path folder = cache_folder();
  if (!is_yes && !is_agreed(plan_removal(name, folder))) return note("nothing was removed");
  const ModelRemoval removal = remove_model(name, folder);
  note(fmt::format("removed {} ({}, {})", removal.name,
                   removal.n_revisions == 1 ? "1 revision" : fmt::format("{} revisions", removal.n_revisions),
                   megabytes(removal.n_bytes)));
}

}  // namespace

void add_pull(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "pull", "Downloads a model from the Hugging Face hub into the cache and prints where it is.");
  const auto name = std::make_shared<std::string>();
  command
      ->add_option("name", *name,
                   "OWNER/NAME or OWNER/NAME@REVISION; :FILE.gguf behind it names one of several.")
      ->required();
  add_example(*command, "lille pull Nikity/lille-130m-instruct");
  command->callback([name] {
    const std::filesystem::path folder = pull_model(*name, read_hub_options());
    print(folder.string() + "\n");
  });
}

void add_models(CLI::App& program) {
  struct Arguments {
    std::string name;
    bool json = false;
    bool yes = false;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = program.add_subcommand(
      "models", "Lists the models in the Hugging Face cache; models rm NAME removes one.");
  command->add_flag("--json", arguments->json, "Print a JSON array.");
  CLI::App* rm = command->add_subcommand("rm", "Removes a model, or one revision of it, from the cache.");
  rm->add_option("name", arguments->name,
                 "OWNER/NAME for the whole model, OWNER/NAME@REVISION for one revision.")
      ->required();
  rm->add_flag("--yes", arguments->yes, "Do not ask.");
  rm->group("Commands");
  add_example(*command, "lille models");
  add_example(*rm, "lille models rm Nikity/lille-130m-instruct@main");
  command->callback([arguments, rm] {
    if (rm->parsed()) return remove_from_cache(arguments->name, arguments->yes);
    list_models(arguments->json);
  });
}

}  // namespace lille::cli
