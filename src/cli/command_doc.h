#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace lille::cli {

/// What is known of one option or argument of a command, for completions and man pages.
struct OptionDoc {
  /// What a shell offers as its value.
  enum class Values { kNone, kText, kChoices, kFiles, kFolders };

  /// "--temperature", "--temp", "-t"; empty for an argument that stands without a flag.
  std::vector<std::string> flags;
  std::string name;                  ///< Of an argument without a flag: "prompt".
  std::string value_name;            ///< "DIR"; empty if it takes no value.
  std::string default_value;         ///< Empty if there is none to show.
  std::string help;                  ///< Sentences.
  Values values = Values::kNone;     ///< kNone: it takes no value.
  std::vector<std::string> choices;  ///< With kChoices: the values.
  bool is_required = false;
  bool is_repeatable = false;
};

/// A command as its help shows it; the program itself is the root of the tree.
struct CommandDoc {
  std::string path;  ///< "lille generate"
  std::string name;  ///< "generate"
  std::string description;
  std::string example;               ///< A command line, or empty.
  std::vector<OptionDoc> options;    ///< Those with flags, without the hidden ones.
  std::vector<OptionDoc> arguments;  ///< Those without flags, in order.
  std::vector<CommandDoc> commands;

  /// Calls visit(const CommandDoc&) for this command and all below it.
  template <typename Visitor>
  void visit_all(const Visitor& visit) const {
    visit(*this);
    for (const CommandDoc& command : commands) command.visit_all(visit);
  }
};

/// Reads a command and all below it out of the parser, so that nothing is listed twice by hand.
CommandDoc describe(CLI::App& command);

/// The text up to the end of its first sentence, without the full stop.
std::string first_sentence(std::string_view text);

/// Completion scripts, made of the tree. Source: the manuals of bash (Programmable Completion), zsh
/// (zshcompsys, _arguments) and fish (complete).
std::string bash_completion(const CommandDoc& program);
std::string zsh_completion(const CommandDoc& program);
std::string fish_completion(const CommandDoc& program);

/// The man page of one command as roff with the macros of man(7).
/// @param program  the root of the tree that `command` is in.
std::string man_page(const CommandDoc& command, const CommandDoc& program);

}  // namespace lille::cli
