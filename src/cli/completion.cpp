#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "cli/cli.h"
#include "cli/command_doc.h"

namespace lille::cli {
namespace {

// Every path below the root, quoted: "lille generate" | "lille info".
std::string quoted_paths(const CommandDoc& program, std::string_view separator) {
  std::string paths;
  program.visit_all([&](const CommandDoc& command) {
    if (&command != &program) paths += fmt::format("{}\"{}\"", paths.empty() ? "" : separator, command.path);
  });
  return paths;
}

std::string all_flags(const CommandDoc& command) {
  std::vector<std::string> flags;
  for (const OptionDoc& option : command.options)
    flags.insert(flags.end(), option.flags.begin(), option.flags.end());
  return fmt::format("{}", fmt::join(flags, " "));
}

std::string names_of(const std::vector<CommandDoc>& commands) {
  std::string names;
  for (const CommandDoc& command : commands) names += (names.empty() ? "" : " ") + command.name;
  return names;
}

std::string bash_values(const OptionDoc& option) {
  switch (option.values) {
    case OptionDoc::Values::kChoices:
      return fmt::format("kind=words words=\"{}\"", fmt::join(option.choices, " "));
    case OptionDoc::Values::kFiles:
      return "kind=files";
    case OptionDoc::Values::kFolders:
      return "kind=folders";
    default:
      return "kind=text";
  }
}

// What may stand at the place of an argument; of several arguments the first one counts.
std::string bash_arguments(const CommandDoc& command) {
  if (!command.commands.empty()) return fmt::format("kind=words words=\"{}\"", names_of(command.commands));
  return command.arguments.empty() ? "kind=text" : bash_values(command.arguments.front());
}

std::string bash_command(const CommandDoc& command) {
  std::string text = fmt::format("    \"{}\")\n      flags=\"{}\"\n      {}\n      case $previous in\n",
                                 command.path, all_flags(command), bash_arguments(command));
  for (const OptionDoc& option : command.options)
    if (option.values != OptionDoc::Values::kNone)
      text += fmt::format("        {}) {} is_value=yes ;;\n", fmt::join(option.flags, " | "),
                          bash_values(option));
  return text + "      esac\n      ;;\n";
}

constexpr std::string_view kBashBegin = R"(# Completion of lille for bash, printed by: lille completion bash
_lille() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
  # Bash takes the = of --flag=value for a word.
  if [[ $current == = ]]; then
    current=""
  elif [[ $previous == = ]]; then
    previous=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  local command={} word is_after_dashes=""
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD - 1}}"; do
    case "$command $word" in
      {}) command+=" $word" ;;
    esac
    [[ $word != -- ]] || is_after_dashes=yes
  done
  [[ -z $is_after_dashes ]] || previous=""

  local flags="" kind="" words="" is_value=""
  case $command in
)";

constexpr std::string_view kBashEnd = R"(  esac
  if [[ -z $is_value && -z $is_after_dashes && $current == -* ]]; then
    kind=words words=$flags
  fi

  COMPREPLY=()
  case $kind in
    words) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current") ;;
    files) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    folders) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
  esac
  [[ $kind == words ]] || compopt -o filenames 2>/dev/null
}
complete -F _lille lille
)";

// Quotes a word for zsh, and what _arguments would read as its own.
std::string zsh_escaped(std::string_view text, std::string_view special) {
  std::string escaped;
  for (const char character : text) {
    if (character == '\'') {
      escaped += "'\\''";
      continue;
    }
    if (character == '\\' || special.find(character) != std::string_view::npos) escaped += '\\';
    escaped += character;
  }
  return escaped;
}

std::string zsh_action(const OptionDoc& option) {
  switch (option.values) {
    case OptionDoc::Values::kChoices:
      return fmt::format("({})", fmt::join(option.choices, " "));
    case OptionDoc::Values::kFiles:
      return "_files";
    case OptionDoc::Values::kFolders:
      return "_files -/";
    default:
      return " ";
  }
}

// '(--temperature --temp)'{--temperature=,--temp=}'[Randomness]:T: '
std::string zsh_option(const OptionDoc& option) {
  const bool takes_value = option.values != OptionDoc::Values::kNone;
  std::vector<std::string> names;
  for (const std::string& flag : option.flags)
    names.push_back(flag + (takes_value && flag.starts_with("--") ? "=" : ""));
  std::string text = option.is_repeatable ? "'*'"
                     : names.size() > 1   ? fmt::format("'({})'", fmt::join(option.flags, " "))
                                          : "";
  text += names.size() > 1 ? fmt::format("{{{}}}", fmt::join(names, ",")) : names.front();
  text += fmt::format("'[{}]", zsh_escaped(first_sentence(option.help), "[]"));
  if (takes_value) text += fmt::format(":{}:{}", zsh_escaped(option.value_name, ":"), zsh_action(option));
  return text + "'";
}

std::string zsh_function_name(const CommandDoc& command) {
  std::string name = "_" + command.path;
  std::ranges::replace(name, ' ', '_');
  return name;
}

std::string zsh_function(const CommandDoc& command) {
  std::string text = zsh_function_name(command) + "() {\n";
  if (!command.commands.empty()) text += "  local curcontext=$curcontext state line\n  local -a commands\n";
  text += command.commands.empty() ? "  _arguments -s" : "  _arguments -C -s";
  for (const OptionDoc& option : command.options) text += " \\\n    " + zsh_option(option);
  if (!command.commands.empty()) text += " \\\n    '1:command:->command' '*::argument:->argument'";
  for (const OptionDoc& argument : command.arguments)
    text += fmt::format(" \\\n    '{}:{}:{}'", argument.is_repeatable ? "*" : "",
                        zsh_escaped(argument.name, ":"), zsh_action(argument));
  text += "\n";
  if (!command.commands.empty()) {
    std::string described, calls;
    for (const CommandDoc& below : command.commands) {
      described +=
          fmt::format("        '{}:{}'\n", below.name, zsh_escaped(first_sentence(below.description), ""));
      calls += fmt::format("        {}) {} ;;\n", below.name, zsh_function_name(below));
    }
    text += fmt::format(
        "  case $state in\n    command)\n      commands=(\n{}      )\n      _describe -t commands command "
        "commands\n      ;;\n    argument)\n      case $words[1] in\n{}      esac\n      ;;\n  esac\n",
        described, calls);
  }
  return text + "}\n\n";
}

std::string fish_quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char character : text) {
    if (character == '\'' || character == '\\') quoted += '\\';
    quoted += character;
  }
  return quoted + "'";
}

std::string fish_values(const OptionDoc& option) {
  switch (option.values) {
    case OptionDoc::Values::kNone:
      return "";
    case OptionDoc::Values::kChoices:
      return fmt::format(" -x -a {}", fish_quoted(fmt::format("{}", fmt::join(option.choices, " "))));
    case OptionDoc::Values::kFiles:
      return " -r -F";
    case OptionDoc::Values::kFolders:
      return " -x -a '(__fish_complete_directories)'";
    default:
      return " -x";
  }
}

std::string fish_command(const CommandDoc& command) {
  const std::string at = fmt::format("complete -c lille -n '__lille_at {}'", command.path);
  std::string text;
  for (const CommandDoc& below : command.commands)
    text += fmt::format("{} -a {} -d {}\n", at, below.name, fish_quoted(first_sentence(below.description)));
  for (const OptionDoc& argument : command.arguments) {
    // Without -x and -r, which speak of the value of an option.
    const std::string values = fish_values(argument).substr(3);
    if (!values.empty()) text += fmt::format("{}{}\n", at, values);
  }
  for (const OptionDoc& option : command.options) {
    text += at;
    for (const std::string& flag : option.flags)
      text += flag.starts_with("--") ? " -l " + flag.substr(2) : " -s " + flag.substr(1);
    text += fmt::format("{} -d {}\n", fish_values(option), fish_quoted(first_sentence(option.help)));
  }
  return text;
}

}  // namespace

std::string bash_completion(const CommandDoc& program) {
  std::string text = fmt::format(kBashBegin, program.name, quoted_paths(program, " | "));
  program.visit_all([&text](const CommandDoc& command) { text += bash_command(command); });
  return text.append(kBashEnd);
}

std::string zsh_completion(const CommandDoc& program) {
  std::string text = "#compdef lille\n# Completion of lille for zsh, printed by: lille completion zsh\n\n";
  program.visit_all([&text](const CommandDoc& command) { text += zsh_function(command); });
  // The file is the body of _lille where zsh finds it in its path, and is run as a script by `source`.
  return text + "if [[ $funcstack[1] == _lille ]]; then\n  _lille \"$@\"\nelse\n  compdef _lille lille\nfi\n";
}

std::string fish_completion(const CommandDoc& program) {
  std::string text = fmt::format(
      "# Completion of lille for fish, printed by: lille completion fish\n"
      "function __lille_at\n  set -l path {}\n  for word in (commandline -opc)[2..-1]\n"
      "    switch \"$path $word\"\n      case {}\n        set path \"$path $word\"\n    end\n  end\n"
      "  test \"$path\" = \"$argv\"\nend\ncomplete -c lille -f\n",
      program.name, quoted_paths(program, " "));
  program.visit_all([&text](const CommandDoc& command) { text += fish_command(command); });
  return text;
}

void add_completion(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "completion", "Prints a script that lets a shell complete commands, options and their values.");
  const auto shell = std::make_shared<std::string>();
  add_choices(*command->add_option("shell", *shell, "The shell: bash, zsh or fish.")->required(),
              "bash|zsh|fish");
  add_example(*command, "lille completion bash");
  command->callback([shell, &program] {
    const CommandDoc doc = describe(program);
    print(*shell == "bash"  ? bash_completion(doc)
          : *shell == "zsh" ? zsh_completion(doc)
                            : fish_completion(doc));
  });
}

}  // namespace lille::cli
