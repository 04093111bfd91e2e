#include "cli/command_doc.h"

#include <algorithm>
#include <array>

#include "cli/cli.h"

namespace lille::cli {
namespace {

constexpr std::string_view kExample = "Example: ";

// What stands for a value that is a file, or a model, which may be a folder.
constexpr std::array<std::string_view, 5> kFileNames = {"FILE", "PATH", "MODEL", "SRC", "DST"};

std::vector<std::string> choices_of(CLI::Option& option) {
  std::vector<std::string> choices;
  try {
    const std::string names = option.get_validator(0)->get_name();
    for (const std::string& name : CLI::detail::split(names, '|'))
      if (!name.empty()) choices.push_back(name);
  } catch (const CLI::OptionNotFound&) {
    // It takes any text.
  }
  return choices;
}

OptionDoc describe_option(CLI::Option& option) {
  OptionDoc doc;
  for (const std::string& name : option.get_lnames()) doc.flags.push_back("--" + name);
  for (const std::string& name : option.get_snames()) doc.flags.push_back("-" + name);
  if (option.get_positional()) doc.name = option.get_name(true);
  doc.help = option.get_description();
  doc.default_value = option.get_default_str();
  doc.is_required = option.get_required();
  if (option.get_items_expected_max() == 0) return doc;
  doc.is_repeatable = option.get_items_expected_max() > 1 ||
                      option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll;
  doc.value_name = option.get_type_name();
  doc.choices = choices_of(option);
  doc.values = OptionDoc::Values::kText;
  if (!doc.choices.empty()) {
    doc.values = OptionDoc::Values::kChoices;
  } else if (doc.value_name == "DIR") {
    doc.values = OptionDoc::Values::kFolders;
  } else if (std::ranges::find(kFileNames, doc.value_name) != kFileNames.end()) {
    doc.values = OptionDoc::Values::kFiles;
  }
  return doc;
}

CommandDoc describe_below(CLI::App& command, const std::string& above) {
  CommandDoc doc;
  doc.name = command.get_name();
  doc.path = above + doc.name;
  doc.description = command.get_description();
  const std::string footer = command.get_footer();
  if (footer.starts_with(kExample)) doc.example = footer.substr(kExample.size());
  for (CLI::Option* option : command.get_options({})) {
    if (option->get_group().empty()) continue;
    OptionDoc described = describe_option(*option);
    (described.flags.empty() ? doc.arguments : doc.options).push_back(std::move(described));
  }
  for (CLI::App* below : command.get_subcommands({}))
    if (!below->get_group().empty()) doc.commands.push_back(describe_below(*below, doc.path + " "));
  return doc;
}

}  // namespace

CommandDoc describe(CLI::App& command) { return describe_below(command, ""); }

std::string first_sentence(std::string_view text) {
  std::string_view sentence = text.substr(0, text.find(". "));
  if (sentence.ends_with('.')) sentence.remove_suffix(1);
  return std::string(sentence);
}

void add_example(CLI::App& command, std::string_view example) {
  command.footer(std::string(kExample).append(example));
}

void add_choices(CLI::Option& option, std::string_view choices) {
  const auto check = [&option, choices = std::string(choices)](const std::string& text) {
    OptionSpec spec;
    spec.choices = choices;
    if (!text.empty() && !is_choice(spec, text))
      raise(ErrorCode::kInvalidArgument, "{}: expected {}, got \"{}\"",
            option.get_positional() ? option.get_name(true) : "--" + option.get_lnames().front(),
            choices_text(spec), printable(text));
    return std::string();
  };
  option.check(CLI::Validator(check, "", std::string(choices)));
}

}  // namespace lille::cli
