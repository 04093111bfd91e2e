#include <cstdio>
#include <exception>
#include <new>

#include "base/fault_handler.h"
#include "base/terminal.h"
#include "cli/cli.h"

namespace lille::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

int fail(std::string_view message, int exit_code) {
  const bool is_coloured = stderr_is_terminal();
  fmt::print(stderr, "lille: {}error:{} {}\n", is_coloured ? "\x1b[1;31m" : "", is_coloured ? "\x1b[0m" : "",
             message);
  return exit_code;
}

int run(int argc, char** argv) {
  const Environment environment = read_environment();
  CLI::App program("Runs Lille, a small language model, exactly as its weights were trained.", "lille");
  program.set_version_flag("--version", std::string("lille " LILLE_VERSION));
  program.require_subcommand(1);
  program.footer("`lille COMMAND --help` tells more about a command.");
  add_generate(program, environment);
  add_info(program, environment);
  add_tokenize(program, environment);
  add_detokenize(program, environment);
  add_logits(program, environment);
  add_perplexity(program, environment);
  try {
    program.parse(argc, argv);
    return 0;
  } catch (const CLI::Success& asked) {
    return program.exit(asked);
  } catch (const CLI::ParseError& wrong) {
    return fail(std::string(wrong.what()) + ". Hint: lille --help", kWrongUsage);
  } catch (const Error& error) {
    return fail(error.what(), error.code() == ErrorCode::kInvalidArgument ? kWrongUsage : kFailed);
  } catch (const std::bad_alloc&) {
    return fail("there is not enough memory", kFailed);
  } catch (const std::exception& unexpected) {
    return fail(unexpected.what(), kFailed);
  }
}

}  // namespace
}  // namespace lille::cli

int main(int argc, char** argv) {
  lille::install_fault_handler();
  return lille::cli::run(argc, argv);
}
