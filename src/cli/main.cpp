#include <cstdio>
#include <exception>
#include <new>
#include <sstream>

#include "base/fault_handler.h"
#include "base/terminal.h"
#include "cli/cli.h"
#include "lille/version.h"

namespace lille::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

int fail(std::string_view message, int exit_code) {
  const bool is_coloured = stderr_is_terminal();
  print_to_stderr(fmt::format("lille: {}error:{} {}\n", is_coloured ? "\x1b[1;31m" : "",
                              is_coloured ? "\x1b[0m" : "", message));
  return exit_code;
}

int print_or_fail(std::string_view text, int failed) {
  try {
    print(text);
    return 0;
  } catch (const Error& error) {
    return fail(error.what(), failed);
  }
}

int failure_code(const CLI::App& program) {
  return program.got_subcommand("diff") ? kTroubleOfDiff : kFailed;
}

// CLI11's message, with a hint that leads to the help of the command in question.
std::string usage_message(const CLI::App& program, const CLI::ParseError& wrong, int argc, char** argv) {
  const std::vector<CLI::App*> commands = program.get_subcommands();
  if (commands.empty()) {
    std::string names;
    for (const CLI::App* command : program.get_subcommands({}))
      names += (names.empty() ? "" : ", ") + command->get_name();
    return fmt::format("expected a command, one of {}, got {}. Hint: lille --help", names,
                       argc > 1 ? fmt::format("\"{}\"", printable(argv[1])) : "none");
  }
  const CLI::App& command = *commands.front();
  const bool is_about_text = dynamic_cast<const CLI::ExtrasError*>(&wrong) != nullptr ||
                             dynamic_cast<const CLI::RequiredError*>(&wrong) != nullptr;
  const bool takes_text =
      is_about_text &&
      !command.get_options([](const CLI::Option* option) { return option->get_positional(); }).empty();
  return fmt::format(
      "{}: {}. Hint: {}lille {} --help", command.get_name(), printable(wrong.what(), 200),
      takes_text ? "a text stands in quotes, one that begins with - after -- at the end; " : "",
      command.get_name());
}

int run(int argc, char** argv) {
  const Environment environment = read_environment();
  CLI::App program("Runs Lille, a small language model, exactly as its weights were trained.", "lille");
  program.set_help_flag("-h,--help", "Print this help and exit.");
  program.set_version_flag("--version", std::string("lille " LILLE_VERSION), "Print the version and exit.");
  program.require_subcommand(1);
  program.formatter(help_formatter());
  add_generate(program, environment);
  add_chat(program, environment);
  add_batch(program, environment);
  add_serve(program, environment);
  add_bench(program, environment);
  add_info(program, environment);
  add_tokenize(program, environment);
  add_detokenize(program, environment);
  add_logits(program, environment);
  add_perplexity(program, environment);
  add_eval(program, environment);
  add_convert(program, environment);
  add_quantize(program, environment);
  add_diff(program, environment);
  add_verify(program, environment);
  add_pull(program);
  add_models(program);
  add_completion(program);
  add_man(program);
  for (CLI::App* command : program.get_subcommands({})) command->group("Commands");
  // Commands inherit what stands above them; only the program's own help ends with this.
  program.footer("`lille COMMAND --help` tells more about a command.");
  try {
    program.parse(argc, argv);
    return 0;
  } catch (const CLI::Success& asked) {
    std::ostringstream text;
    program.exit(asked, text, text);
    return print_or_fail(text.str(), failure_code(program));
  } catch (const ExitCode& answer) {
    return answer.value;
  } catch (const CLI::ParseError& wrong) {
    return fail(usage_message(program, wrong, argc, argv), kWrongUsage);
  } catch (const Error& error) {
    return fail(error.what(),
                error.code() == ErrorCode::kInvalidArgument ? kWrongUsage : failure_code(program));
  } catch (const std::bad_alloc&) {
    return fail("there is not enough memory", failure_code(program));
  } catch (const std::exception& unexpected) {
    return fail(unexpected.what(), failure_code(program));
  }
}

}  // namespace
}  // namespace lille::cli

int main(int argc, char** argv) {
  lille::install_fault_handler();
  return lille::cli::run(argc, argv);
}
