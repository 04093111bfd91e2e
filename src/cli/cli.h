#pragma once

#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/text.h"
#include "generate/options.h"
#include "lille/hub.h"
#include "lille/model.h"
#include "lille/tokenizer.h"

namespace lille::cli {

/// What a command needs from the program around it.
struct Environment {
  std::filesystem::path
      default_model;  ///< The small model that comes with the program; empty if it is not there.
  std::filesystem::path cache_folder;  ///< Empty if the user has no home.
  std::filesystem::path state_folder;  ///< For what the program remembers; empty if the user has no home.
  bool wants_colour = true;            ///< Unless NO_COLOR is set or TERM is dumb.
  std::string forced_kernels;          ///< LILLE_FORCE_ISA, or empty.
};

/// Reads HOME, XDG_CACHE_HOME, XDG_STATE_HOME, NO_COLOR, TERM and LILLE_FORCE_ISA, and looks for the model
/// beside the program.
Environment read_environment();

/// The whole of `text` as a decimal number; CLI11 would wrap a negative seed and read 010 as 8.
/// @throws Error(kInvalidArgument) that names the flag and what it expects.
template <typename Number>
Number parse_number(const std::string& text, const OptionSpec& spec) {
  Number number{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure == std::errc() && end == text.data() + text.size()) return number;
  const std::string flag = flag_of(spec.name);
  if constexpr (std::is_unsigned_v<Number>)
    raise(ErrorCode::kInvalidArgument, "{}: expected a whole number from 0 to {}, got \"{}\"", flag,
          std::numeric_limits<Number>::max(), printable(text));
  raise(ErrorCode::kInvalidArgument, "{}: expected a {} from {} to {}, got \"{}\"", flag,
        std::is_integral_v<Number> ? "whole number" : "number", spec.min, spec.max, printable(text));
}

/// Adds the flag of an option whose text stands in a file, which is read when the flag is.
CLI::Option* add_file_option(CLI::App& command, const OptionSpec& spec, std::string& field);

/// Adds the flag of one option, whose kind is that of its field; its value lands in `field`.
template <typename Field>
CLI::Option* add_option(CLI::App& command, const OptionSpec& spec, Field& field) {
  std::string flags = flag_of(spec.name);
  if (!spec.alias.empty()) flags += "," + flag_of(spec.alias);
  const std::string help(spec.help);
  if constexpr (std::is_same_v<Field, bool>) {
    return command.add_flag(flags, field, help);
  } else if constexpr (std::is_same_v<Field, std::optional<bool>>) {
    CLI::Option* yes = command.add_flag_callback(
        flags, [&field] { field = true; }, help);
    command
        .add_flag_callback(
            "--no-" + flags.substr(2), [&field] { field = false; }, "The opposite of " + flags + ".")
        ->excludes(yes);
    return yes;
  } else if constexpr (std::is_same_v<Field, std::string>) {
    if (spec.check_file != nullptr) return add_file_option(command, spec, field);
    return command.add_option(flags, field, help);
  } else if constexpr (std::is_same_v<Field, std::vector<std::string>>) {
    // Taken as they are: CLI11 would read {} and [a,b] as lists.
    const auto take = [&field](const CLI::results_t& texts) {
      field = texts;
      return true;
    };
    return command.add_option(flags, take, help)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->allow_extra_args(false);
  } else if constexpr (std::is_same_v<Field, std::map<int32_t, float>>) {
    const auto read = [&field](const std::string& text) { field = parse_logit_bias(text); };
    return command.add_option_function<std::string>(flags, read, help);
  } else {
    const auto read = [&field, spec](const std::string& text) {
      if constexpr (std::is_arithmetic_v<Field>)
        field = parse_number<Field>(text, spec);
      else
        field = parse_number<typename Field::value_type>(text, spec);
    };
    CLI::Option* option = command.add_option_function<std::string>(flags, read, help);
    if constexpr (std::is_arithmetic_v<Field>) option->default_str(fmt::format("{}", field));
    return option;
  }
}

/// Has the parser refuse texts that are none of `choices`, "half|original", and completions offer them.
/// The parser then throws Error(kInvalidArgument) that names the option and the choices.
void add_choices(CLI::Option& option, std::string_view choices);

/// Adds a flag for every option of the struct's table; values land in `options`.
template <typename Options>
void add_options(CLI::App& command, Options& options) {
  visit_options(options, [&command](const OptionSpec& spec, auto& field) {
    CLI::Option* option = add_option(command, spec, field)->type_name(std::string(spec.value_name));
    if (!spec.choices.empty()) add_choices(*option, spec.choices);
  });
}

/// Ends the help of a command with a command line that a user can copy.
void add_example(CLI::App& command, std::string_view example);

/// How help is laid out: lines of at most 100 columns, and only what a user needs of an option.
std::shared_ptr<CLI::FormatterBase> help_formatter();

/// How the Hugging Face hub is reached, as the environment says (docs/HUB.md); what it tells goes to stderr.
HubOptions read_hub_options();

/// The folder or file that --model or its default names; a model of the hub is downloaded where that is
/// necessary.
/// @throws Error(kNotFound) if there is neither; else as resolve_model.
std::filesystem::path model_path(const ModelOptions& options, const Environment& environment);

/// @throws Error(kInvalidArgument | kUnsupported) that names LILLE_FORCE_ISA, unless this machine has such
///   kernels.
void check_kernels(const Environment& environment);

/// Loads the model; warnings, and the line about a measured rotary layout, go to stderr.
Model load_model(const ModelOptions& options, const Environment& environment);

/// The tokenizer of the model's folder or file.
/// @throws Error(kInvalidArgument) if it is not the model's.
Tokenizer load_tokenizer(const Model& model);

/// How a session computes that the options ask for.
SessionOptions session_options(int64_t n_threads, const ComputeOptions& compute,
                               const Environment& environment);

/// A session with the threads and kernels that were asked for.
Session make_session(const Model& model, const ModelOptions& options, const ComputeOptions& compute,
                     const Environment& environment);

/// Writes to stdout at once. @throws Error(kIo) if nobody can read it (a full disk, a closed descriptor).
void print(std::string_view text);

/// Writes to stderr at once; where that is closed or full, the text is lost and the program goes on.
void print_to_stderr(std::string_view text) noexcept;

/// Writes one line to stderr: "lille: TEXT".
void note(std::string_view text);

/// Writes one line to stderr: "lille: warning: TEXT".
void warn(std::string_view text);

/// Thrown by a command that has printed its answer and says with the exit code how it came out.
struct ExitCode {
  int value = 0;
};

/// What `lille diff` exits with where it fails, since 1 says that two models differ, as of diff(1) and
/// cmp(1).
inline constexpr int kTroubleOfDiff = 2;

/// A bar on stderr that shows n_done of n_total; only on a terminal, and gone when it is destroyed.
class ProgressBar {
 public:
  /// Seconds that a user waits without being told.
  static constexpr double kPatience = 2;

  /// @param after_s  seconds of work before it is shown.
  explicit ProgressBar(std::string label, double after_s = 0);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void show(int64_t n_done, int64_t n_total);
  void show_bytes(int64_t n_done, int64_t n_total);

 private:
  void draw(int64_t n_done, int64_t n_total, std::string_view text);

  std::string label_;
  std::chrono::steady_clock::time_point first_shown_;
  bool is_on_terminal_;
  bool is_shown_ = false;
};

/// "12.3 MB"
std::string megabytes(int64_t n_bytes);

/// "1,2,3" as ids. @throws Error(kInvalidArgument) that names the flag and the piece that is no id.
std::vector<int32_t> parse_ids(std::string_view text, std::string_view flag);

/// Throws Error(kInvalidArgument) unless the text is valid UTF-8.
void check_utf8(std::string_view text, std::string_view what);

/// The text itself, or all of stdin for "-".
std::string text_or_stdin(const std::string& text);

/// Each adds its subcommand to the program; what it does runs from the callback.
void add_chat(CLI::App& program, const Environment& environment);
void add_generate(CLI::App& program, const Environment& environment);
void add_batch(CLI::App& program, const Environment& environment);
void add_bench(CLI::App& program, const Environment& environment);
void add_info(CLI::App& program, const Environment& environment);
void add_tokenize(CLI::App& program, const Environment& environment);
void add_detokenize(CLI::App& program, const Environment& environment);
void add_logits(CLI::App& program, const Environment& environment);
void add_convert(CLI::App& program, const Environment& environment);
void add_diff(CLI::App& program, const Environment& environment);
void add_eval(CLI::App& program, const Environment& environment);
void add_perplexity(CLI::App& program, const Environment& environment);
void add_quantize(CLI::App& program, const Environment& environment);
void add_serve(CLI::App& program, const Environment& environment);
void add_verify(CLI::App& program, const Environment& environment);
void add_pull(CLI::App& program);
void add_models(CLI::App& program);
void add_completion(CLI::App& program);
/// After all others, since it knows their names.
void add_man(CLI::App& program);

}  // namespace lille::cli
