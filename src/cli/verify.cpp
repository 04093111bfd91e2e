#include "lille/verify.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/cli.h"

namespace lille::cli {
namespace {

using Json = nlohmann::ordered_json;

// One bar for each step that takes long.
class Steps {
 public:
  void show(std::string_view step, int64_t n_done, int64_t n_total) {
    if (step != step_) {
      bar_.reset();
      step_ = step;
      bar_.emplace(step_, ProgressBar::kPatience);
    }
    if (step == "checksums")
      bar_->show_bytes(n_done, n_total);
    else
      bar_->show(n_done, n_total);
  }

 private:
  std::string step_;
  std::optional<ProgressBar> bar_;
};

std::string range_text(const RopePositions& range) {
  return fmt::format("{}-{}", range.begin, range.end - 1);
}

std::string rope_table(const VerifyReport& report) {
  if (report.rope_positions.empty()) return "";
  std::string text = fmt::format("  {:<18}", "position");
  for (const RopePositions& range : report.rope_positions) text += fmt::format("{:>10}", range_text(range));
  text += fmt::format("{:>10}\n", "all");
  for (std::size_t idx = 0; idx < report.measured_rope.perplexities.size(); ++idx) {
    const RopePerplexity& all = report.measured_rope.perplexities[idx];
    text += fmt::format("  {:<18}", rope_layout_name(all.layout));
    for (const RopePositions& range : report.rope_positions)
      text += fmt::format("{:>10.1f}", range.perplexities[idx].perplexity);
    text += fmt::format("{:>10.1f}\n", all.perplexity);
  }
  return text;
}

std::string files_text(const VerifyReport& report) {
  std::size_t n_columns = 0;
  for (const VerifiedFile& file : report.files) n_columns = std::max(n_columns, file.name.size());
  std::string text;
  for (const VerifiedFile& file : report.files)
    text += fmt::format("  {:<{}} {:>12}  {}\n", file.name, n_columns, file.n_bytes,
                        file.is_used ? "sha256 " + file.sha256 : "not used");
  return text;
}

// "FAILED: tokenizer, chat template"
std::string verdict(const VerifyReport& report) {
  if (report.is_well()) return "all is well";
  std::vector<std::string> failed;
  std::vector<std::string> skipped;
  for (const Check& check : report.checks) {
    if (check.result == CheckResult::kFailed) failed.push_back(check.name);
    if (check.result == CheckResult::kSkipped) skipped.push_back(check.name);
  }
  return fmt::format("FAILED: {}{}{}", fmt::join(failed, ", "),
                     skipped.empty() ? "" : "; skipped: ", fmt::join(skipped, ", "));
}

std::string as_text(const std::filesystem::path& path, const VerifyReport& report) {
  std::string text = fmt::format("{}{}\n", printable_path(path),
                                 report.form.empty() ? "" : fmt::format(" ({})", report.form));
  text += files_text(report);
  for (const Check& check : report.checks) {
    text += fmt::format("{:<7} {:<14} {}\n", check_result_name(check.result), check.name, check.text);
    if (check.name == "rotary layout") text += rope_table(report);
    if (check.name != "weights") continue;
    for (const Model::Storage& storage : report.storage)
      text += fmt::format("  {} weights in {}\n", storage.n_parameters, storage.dtype);
  }
  return text + verdict(report) + "\n";
}

Json perplexities_json(std::span<const RopePerplexity> perplexities) {
  Json json = Json::object();
  for (const RopePerplexity& measured : perplexities)
    json[std::string(rope_layout_name(measured.layout))] = measured.perplexity;
  return json;
}

Json rope_json(const VerifyReport& report) {
  Json json = {{"used", rope_layout_name(report.rope.layout)}};
  if (report.rope_positions.empty()) return json;
  const bool is_clear = report.measured_rope.source == RopeSource::kMeasured;
  json["measured"] = is_clear ? Json(rope_layout_name(report.measured_rope.layout)) : Json();
  json["n_predictions"] = report.measured_rope.n_tokens;
  json["perplexities"] = perplexities_json(report.measured_rope.perplexities);
  json["positions"] = Json::array();
  for (const RopePositions& range : report.rope_positions)
    json["positions"].push_back({{"begin", range.begin},
                                 {"end", range.end},
                                 {"n_predictions", range.n_predictions},
                                 {"perplexities", perplexities_json(range.perplexities)}});
  return json;
}

Json as_json(const std::filesystem::path& path, const VerifyReport& report) {
  Json json = {{"is_well", report.is_well()}, {"path", printable_path(path)}, {"form", report.form}};
  json["checks"] = Json::array();
  for (const Check& check : report.checks)
    json["checks"].push_back(
        {{"name", check.name}, {"result", check_result_name(check.result)}, {"text", check.text}});
  json["files"] = Json::array();
  for (const VerifiedFile& file : report.files) {
    Json entry = {{"name", file.name}, {"n_bytes", file.n_bytes}, {"is_used", file.is_used}};
    if (file.is_used) entry.update({{"sha256", file.sha256}, {"xxh3", file.xxh3}});
    json["files"].push_back(std::move(entry));
  }
  json["missing"] = report.missing;
  json["n_tensors"] = report.n_tensors;
  json["bits_per_weight"] = report.bits_per_weight;
  json["storage"] = Json::object();
  for (const Model::Storage& storage : report.storage)
    json["storage"][storage.dtype] = {{"n_parameters", storage.n_parameters}, {"n_bytes", storage.n_bytes}};
  json["rope_layout"] = rope_json(report);
  json["prompt"] = report.prompt;
  json["continuation"] = report.continuation;
  return json;
}

struct VerifyArguments {
  ModelOptions model;
  bool json = false;
};

void run_verify(const VerifyArguments& arguments, const Environment& environment) {
  check_ranges(arguments.model);
  check_kernels(environment);
  const std::filesystem::path path = model_path(arguments.model, environment);
  VerifyOptions options;
  options.rope_layout = rope_layout_from_name(arguments.model.rope);
  options.cache_folder = environment.cache_folder;
  options.n_threads = arguments.model.threads;
  options.kernels = environment.forced_kernels;
  VerifyReport report;
  {
    Steps steps;
    options.on_progress = [&steps](std::string_view step, int64_t n_done, int64_t n_total) {
      steps.show(step, n_done, n_total);
    };
    report = verify_model(path, options);
  }
  // A continuation that is no UTF-8 is told as such in its check.
  print(arguments.json ? as_json(path, report).dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
                       : as_text(path, report));
  if (!report.is_well()) throw ExitCode{1};
}

}  // namespace

void add_verify(CLI::App& program, const Environment& environment) {
  CLI::App* command =
      program.add_subcommand("verify", "Checks everything that makes a model. Exits with 0 if all is well.");
  const auto arguments = std::make_shared<VerifyArguments>();
  command->add_option("model", arguments->model.model, "The model: all that --model takes elsewhere.")
      ->required()
      ->type_name("MODEL");
  command->add_flag("--json", arguments->json, "Print one JSON object.");
  visit_options(arguments->model, [command](const OptionSpec& spec, auto& field) {
    if (spec.name != "model") add_option(*command, spec, field)->type_name(std::string(spec.value_name));
  });
  add_example(*command, "lille verify models/lille-tiny-8bit");
  command->callback([arguments, environment] { run_verify(*arguments, environment); });
}

}  // namespace lille::cli
