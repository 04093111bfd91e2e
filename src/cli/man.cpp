#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/command_doc.h"
#include "lille/version.h"

namespace lille::cli {
namespace {

constexpr std::string_view kExitStatus = R"(.SH EXIT STATUS
.TP
.B 0
It did what was asked.
.TP
.B 1
It failed: a file, the machine or the input stood in the way. One line on stderr says what. Or
\fBlille diff\fR has found a difference or \fBlille verify\fR a fault, which they print.
.TP
.B 2
The command line is wrong: an unknown command or option, or a value out of range. Or
\fBlille diff\fR has failed, since 1 says that models differ.
)";

constexpr std::string_view kEnvironment = R"(.SH ENVIRONMENT
.TP
.B XDG_CACHE_HOME\fR, \fBHOME
Where measured rotary layouts are remembered and models of the hub are kept, see FILES.
.TP
.B HF_HUB_CACHE\fR, \fBHF_HOME
Where models of the Hugging Face hub are kept instead: HF_HUB_CACHE itself, or hub in HF_HOME.
.TP
.B HF_TOKEN\fR, \fBHF_TOKEN_PATH
The token for private and gated models, or the file that holds it, else token in HF_HOME.
.TP
.B HF_ENDPOINT
Another hub than https://huggingface.co.
.TP
.B HF_HUB_OFFLINE
1 uses only what has been downloaded.
.TP
.B CURL_CA_BUNDLE\fR, \fBSSL_CERT_FILE
A file of certificates to trust instead of the system's.
.TP
.B https_proxy\fR, \fBhttp_proxy\fR, \fBall_proxy\fR, \fBno_proxy
Proxies, as for curl.
.TP
.B XDG_STATE_HOME\fR, \fBHOME
Where the lines typed in a chat are kept, see FILES.
.TP
.B NO_COLOR\fR, \fBTERM
No colours in a chat if NO_COLOR is set or TERM is dumb.
.TP
.B LILLE_FORCE_ISA
Compute with these kernels instead of the best ones: a name that \fBlille info \-\-system\fR lists.
)";

constexpr std::string_view kFiles = R"(.SH FILES
.TP
.I PREFIX/share/lille/models/lille\-tiny\-8bit
The model that is used without \fB\-\-model\fR; PREFIX is where the program was installed.
.TP
.I $XDG_CACHE_HOME/lille/rope_layouts.json
Layouts measured by earlier starts, else in \fI$HOME/.cache/lille\fR. It may be removed.
.TP
.I $XDG_CACHE_HOME/huggingface/hub
Models of the Hugging Face hub, else in \fI$HOME/.cache/huggingface/hub\fR, shared with Python's client.
.TP
.I $XDG_STATE_HOME/lille/chat_history
Lines typed in a chat, else in \fI$HOME/.local/state/lille\fR; readable for the user alone. It may be removed.
)";

// Text as roff prints it: no escapes, no requests, and dashes that can be copied into a shell.
std::string roff(std::string_view text) {
  std::string escaped;
  if (text.starts_with('.') || text.starts_with('\'')) escaped = "\\&";
  for (const char character : text) {
    if (character == '\\') {
      escaped += "\\e";
    } else if (character == '-') {
      escaped += "\\-";
    } else if (character == '\n') {
      escaped += ' ';
    } else {
      escaped += character;
    }
  }
  return escaped;
}

std::string page_name(const CommandDoc& command) {
  std::string name = command.path;
  std::ranges::replace(name, ' ', '-');
  return name;
}

std::string capitals(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) { return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c; });
  return text;
}

std::string synopsis(const CommandDoc& command) {
  std::string text = fmt::format(".SH SYNOPSIS\n.B {}\n", roff(command.path));
  if (!command.options.empty()) text += "[\\fIOPTION\\fR...]\n";
  for (const OptionDoc& argument : command.arguments)
    text += fmt::format("{}\\fI{}\\fR{}{}\n", argument.is_required ? "" : "[", roff(capitals(argument.name)),
                        argument.is_repeatable ? "..." : "", argument.is_required ? "" : "]");
  if (!command.commands.empty()) text += "\\fICOMMAND\\fR [\\fIARGUMENT\\fR...]\n";
  return text;
}

// One entry of a list: what is written, then what it means.
std::string entry(const std::string& term, const std::string& meaning) {
  return fmt::format(".TP\n{}\n{}\n", term, meaning);
}

std::string option_entry(const OptionDoc& option) {
  std::string term;
  for (const std::string& flag : option.flags)
    term += fmt::format("{}\\fB{}\\fR", term.empty() ? "" : ", ", roff(flag));
  if (option.values != OptionDoc::Values::kNone) term += fmt::format(" \\fI{}\\fR", roff(option.value_name));
  std::string meaning = roff(option.help);
  if (!option.default_value.empty()) meaning += fmt::format(" Default: {}.", roff(option.default_value));
  return entry(term, meaning);
}

std::string lists(const CommandDoc& command) {
  std::string text;
  if (!command.commands.empty()) text += ".SH COMMANDS\n";
  for (const CommandDoc& below : command.commands)
    text += entry(fmt::format("\\fB{}\\fR", roff(below.name)), roff(below.description));
  if (!command.arguments.empty()) text += ".SH ARGUMENTS\n";
  for (const OptionDoc& argument : command.arguments)
    text += entry(fmt::format("\\fI{}\\fR", roff(capitals(argument.name))), roff(argument.help));
  text += ".SH OPTIONS\n";
  for (const OptionDoc& option : command.options) text += option_entry(option);
  return text;
}

std::string examples(const CommandDoc& command) {
  std::string text;
  command.visit_all([&text](const CommandDoc& below) {
    if (!below.example.empty())
      text += fmt::format("{}.EX\n{}\n.EE\n", text.empty() ? "" : ".PP\n", roff(below.example));
  });
  return text.empty() ? text : ".SH EXAMPLES\n" + text;
}

std::string see_also(const CommandDoc& command, const CommandDoc& program) {
  std::vector<std::string> pages;
  program.visit_all([&](const CommandDoc& other) {
    if (&other != &command) pages.push_back(fmt::format("\\fB{}\\fR(1)", roff(page_name(other))));
  });
  return fmt::format(".SH SEE ALSO\n{}\n", fmt::join(pages, ",\n"));
}

// "generate|info|...": what follows "lille-" in the names of the pages.
std::string page_choices(const CommandDoc& program) {
  std::string choices;
  program.visit_all([&](const CommandDoc& command) {
    if (&command != &program)
      choices += (choices.empty() ? "" : "|") + page_name(command).substr(program.name.size() + 1);
  });
  return choices;
}

void write_pages(const CommandDoc& program, const std::filesystem::path& folder) {
  program.visit_all([&](const CommandDoc& command) {
    AtomicFile file(folder / (page_name(command) + ".1"));
    file.write(man_page(command, program));
    file.commit();
  });
}

}  // namespace

std::string man_page(const CommandDoc& command, const CommandDoc& program) {
  std::string text = fmt::format(".TH {} 1 \"\" \"lille {}\" \"User Commands\"\n",
                                 roff(capitals(page_name(command))), LILLE_VERSION);
  text += fmt::format(".SH NAME\n{} \\- {}\n", roff(page_name(command)),
                      roff(first_sentence(command.description)));
  text += synopsis(command);
  text += fmt::format(".SH DESCRIPTION\n{}\n.PP\n", roff(command.description));
  text += "Text goes to stdout and everything else to stderr.\n";
  if (!command.arguments.empty())
    text += "What begins with \\- and is no option stands after \\fB\\-\\-\\fR at the end.\n";
  text += lists(command);
  text += std::string(kExitStatus).append(kEnvironment).append(kFiles);
  return text + examples(command) + see_also(command, program);
}

void add_man(CLI::App& program) {
  struct Arguments {
    std::string command;
    std::string folder;
  };
  CLI::App* command =
      program.add_subcommand("man", "Prints the manual page of the program or of one of its commands.");
  const auto arguments = std::make_shared<Arguments>();
  CLI::Option* name =
      command->add_option("command", arguments->command, "The command; without one, the program.");
  add_choices(*name, page_choices(describe(program)));
  command
      ->add_option("--write", arguments->folder,
                   "Write all pages into this folder instead: lille.1, lille-generate.1 and so on.")
      ->type_name("DIR")
      ->excludes(name);
  add_example(*command, "lille man generate");
  command->callback([arguments, &program] {
    const CommandDoc doc = describe(program);
    if (!arguments->folder.empty()) return write_pages(doc, arguments->folder);
    const std::string page = doc.name + (arguments->command.empty() ? "" : "-") + arguments->command;
    doc.visit_all([&](const CommandDoc& other) {
      if (page_name(other) == page) print(man_page(other, doc));
    });
  });
}

}  // namespace lille::cli
