#include "cli/cli.h"

namespace lille::cli {
namespace {

constexpr std::size_t kNameColumns = 28;
constexpr std::size_t kTextColumns = 100 - kNameColumns;

// Breaks a text at spaces into lines of at most kTextColumns.
std::string wrapped(std::string_view text) {
  std::string lines;
  while (text.size() > kTextColumns) {
    const std::size_t space = text.rfind(' ', kTextColumns);
    if (space == std::string_view::npos) break;
    lines.append(text.substr(0, space)).append("\n");
    text.remove_prefix(space + 1);
  }
  return lines.append(text);
}

class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() {
    column_width(kNameColumns);
    label("SUBCOMMAND", "COMMAND");
    label("Subcommands", "Commands");
    label("REQUIRED", "");
  }

  std::string make_option_desc(const CLI::Option* option) const override {
    return wrapped(option->get_description());
  }

  // Without the list of excluded options, which their descriptions make plain.
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_type_size() == 0) return "";
    std::string text = " " + option->get_type_name();
    if (!option->get_default_str().empty()) text += "=" + option->get_default_str();
    return text;
  }

  std::string make_subcommand(const CLI::App* command) const override {
    std::stringstream text;
    CLI::detail::format_help(text, command->get_name(), wrapped(command->get_description()), kNameColumns);
    return text.str();
  }
};

}  // namespace

std::shared_ptr<CLI::FormatterBase> help_formatter() { return std::make_shared<HelpFormatter>(); }

}  // namespace lille::cli
