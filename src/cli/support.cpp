#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>

#include "base/check.h"
#include "base/file.h"
#include "base/terminal.h"
#include "base/text.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "kernels/kernel_table.h"
#include "model/rope_choice.h"

namespace lille::cli {
namespace {

constexpr std::size_t kMaxOptionFileBytes = std::size_t{1} << 20;

std::filesystem::path find_default_model() {
  constexpr std::string_view kName = "lille-tiny-8bit";
  const std::filesystem::path folder = program_path().parent_path();
  // The first is an installed program, the second one in build/<preset>/bin of a clone.
  for (const auto& candidate :
       {folder / "../share/lille/models" / kName, folder / "../../../models" / kName}) {
    std::error_code ignored;
    if (std::filesystem::is_directory(candidate, ignored)) return candidate.lexically_normal();
  }
  return {};
}

std::string environment_value(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// The program's own folder: below that of the XDG variable, else in the home. Empty without either.
std::filesystem::path folder_of_user(const char* variable, const char* in_home) {
  // The XDG specification says to ignore a relative path.
  const std::string named = environment_value(variable);
  if (named.starts_with('/')) return std::filesystem::path(named) / "lille";
  const std::string home = environment_value("HOME");
  return home.starts_with('/') ? std::filesystem::path(home) / in_home / "lille" : std::filesystem::path();
}

void tell_rope_choice(const RopeChoice& choice) {
  if (choice.source == RopeSource::kMeasured)
    note(fmt::format("rope layout: {}, measured over {} tokens (perplexity {}); --rope overrides it",
                     rope_layout_name(choice.layout), choice.n_tokens,
                     perplexities_text(choice.perplexities)));
  if (choice.source == RopeSource::kDefault && !choice.perplexities.empty())
    note(fmt::format(
        "rope layout: {}, because none is clearly best over {} tokens (perplexity {}); --rope overrides it",
        rope_layout_name(choice.layout), choice.n_tokens, perplexities_text(choice.perplexities)));
}

}  // namespace

Environment read_environment() {
  Environment environment;
  environment.default_model = find_default_model();
  environment.forced_kernels = environment_value("LILLE_FORCE_ISA");
  environment.wants_colour = environment_value("NO_COLOR").empty() && environment_value("TERM") != "dumb";
  environment.cache_folder = folder_of_user("XDG_CACHE_HOME", ".cache");
  environment.state_folder = folder_of_user("XDG_STATE_HOME", ".local/state");
  return environment;
}

std::filesystem::path model_path(const ModelOptions& options, const Environment& environment) {
  if (!options.model.empty()) return resolve_model(options.model, read_hub_options());
  if (environment.default_model.empty())
    raise(ErrorCode::kNotFound, "--model: expected a model, since no model stands beside this program");
  return environment.default_model;
}

CLI::Option* add_file_option(CLI::App& command, const OptionSpec& spec, std::string& field) {
  const auto read = [&field, spec](const std::string& path) {
    try {
      field = read_text_file(path, kMaxOptionFileBytes);
    } catch (const Error& error) {
      raise(error.code(), "{}: {}", flag_of(spec.name), error.what());
    }
    if (field.empty())
      raise(ErrorCode::kInvalidArgument, "{}: expected a text in {}, got an empty file", flag_of(spec.name),
            printable_path(path));
    // Before a model is loaded, and where it is known which file the text comes from.
    spec.check_file(field, fmt::format("{} {}: {}", flag_of(spec.name), printable_path(path), spec.name));
  };
  return command.add_option_function<std::string>(flag_of(spec.name), read, std::string(spec.help));
}

void check_kernels(const Environment& environment) {
  try {
    kernels::select_kernel_table(environment.forced_kernels);
  } catch (const Error& error) {
    raise(error.code(), "LILLE_FORCE_ISA: {}", error.what());
  }
}

Model load_model(const ModelOptions& options, const Environment& environment) {
  check_ranges(options);
  check_kernels(environment);
  LoadOptions load;
  load.rope_layout = rope_layout_from_name(options.rope);
  load.cache_folder = environment.cache_folder;
  load.n_threads = options.threads;
  load.kernels = environment.forced_kernels;
  load.on_warning = warn;
  std::optional<ProgressBar> bar(std::in_place, "measuring the rope layout");
  load.on_progress = [&bar](int64_t n_done, int64_t n_total) { bar->show(n_done, n_total); };
  Model model = Model::load(model_path(options, environment), load);
  bar.reset();
  tell_rope_choice(model.rope());
  return model;
}

Tokenizer load_tokenizer(const Model& model) {
  Tokenizer tokenizer = Tokenizer::load(model.path());
  check_vocabulary(tokenizer, model.args());
  return tokenizer;
}

SessionOptions session_options(int64_t n_threads, const ComputeOptions& compute,
                               const Environment& environment) {
  check_ranges(compute);
  return {n_threads, environment.forced_kernels, compute.exact, cache_type_of_bits(compute.kv_bits)};
}

Session make_session(const Model& model, const ModelOptions& options, const ComputeOptions& compute,
                     const Environment& environment) {
  return Session(model, session_options(options.threads, compute, environment));
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    raise(ErrorCode::kIo, "[stdout] the output could not be written: {}", std::strerror(errno));
}

void print_to_stderr(std::string_view text) noexcept {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

void note(std::string_view text) { print_to_stderr(fmt::format("lille: {}\n", text)); }

void warn(std::string_view text) { note(fmt::format("warning: {}", text)); }

ProgressBar::ProgressBar(std::string label, double after_s)
    : label_(std::move(label)),
      first_shown_(std::chrono::steady_clock::now() +
                   std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                       std::chrono::duration<double>(after_s))),
      is_on_terminal_(stderr_is_terminal()) {}

ProgressBar::~ProgressBar() {
  if (is_shown_) print_to_stderr("\r\x1b[K");
}

void ProgressBar::show(int64_t n_done, int64_t n_total) {
  draw(n_done, n_total, fmt::format("{}/{}", n_done, n_total));
}

void ProgressBar::show_bytes(int64_t n_done, int64_t n_total) {
  draw(n_done, n_total, fmt::format("{:.1f}/{}", static_cast<double>(n_done) / 1e6, megabytes(n_total)));
}

void ProgressBar::draw(int64_t n_done, int64_t n_total, std::string_view text) {
  if (!is_on_terminal_ || std::chrono::steady_clock::now() < first_shown_) return;
  constexpr int64_t kCells = 30;
  const int64_t n_full = n_total > 0 ? kCells * n_done / n_total : kCells;
  print_to_stderr(fmt::format("\r{} [{:=<{}}{:<{}}] {}", label_, "", n_full, "", kCells - n_full, text));
  is_shown_ = true;
}

std::string megabytes(int64_t n_bytes) {
  return fmt::format("{:.1f} MB", static_cast<double>(n_bytes) / 1e6);
}

std::vector<int32_t> parse_ids(std::string_view text, std::string_view flag) {
  std::vector<int32_t> ids;
  while (true) {
    const std::size_t comma = text.find(',');
    std::string_view piece = text.substr(0, comma);
    const auto begin = piece.find_first_not_of(" \t\r\n");
    piece = begin == std::string_view::npos ? std::string_view() : piece.substr(begin);
    piece = piece.substr(0, piece.find_last_not_of(" \t\r\n") + 1);
    int32_t id = 0;
    const auto [end, failure] = std::from_chars(piece.data(), piece.data() + piece.size(), id);
    if (failure != std::errc() || end != piece.data() + piece.size())
      raise(ErrorCode::kInvalidArgument, "{}: expected token ids with commas between them, got \"{}\"", flag,
            printable(piece));
    ids.push_back(id);
    if (comma == std::string_view::npos) return ids;
    text.remove_prefix(comma + 1);
  }
}

void check_utf8(std::string_view text, std::string_view what) {
  for (std::size_t offset = 0; offset < text.size();) {
    const std::size_t n_bytes = utf8_char_bytes(text.substr(offset));
    if (n_bytes == 0)
      raise(ErrorCode::kInvalidArgument,
            "{}: expected UTF-8 text, got the byte 0x{:02x} at offset {}. Hint: convert it, "
            "for example with iconv",
            what, static_cast<unsigned char>(text[offset]), offset);
    offset += n_bytes;
  }
}

std::string text_or_stdin(const std::string& text) {
  if (text != "-") return text;
  return {std::istreambuf_iterator<char>(std::cin), {}};
}

}  // namespace lille::cli
