#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/mapped_file.h"
#include "base/process.h"
#include "cli/cli.h"
#include "lille/benchmark.h"
#include "lille/version.h"

namespace lille::cli {
namespace {

struct BenchArguments {
  int64_t runs = 5;
  std::string compare_file;
  bool json = false;
  ModelOptions model;
  ComputeOptions compute;
};

// Figures of another run or program, to be set beside this one's.
struct Compared {
  std::string program;
  std::vector<Measurement> measurements;
};

Compared read_compared(const std::string& path) {
  const MappedFile file(path);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  try {
    const auto report = nlohmann::json::parse(text);
    Compared compared;
    compared.program = report.at("program");
    for (const auto& result : report.at("results")) {
      Measurement measurement;
      measurement.work = result.at("work");
      measurement.threads = result.at("threads");
      measurement.unit = result.at("unit");
      measurement.median = result.at("median");
      compared.measurements.push_back(measurement);
    }
    return compared;
  } catch (const nlohmann::json::exception& failure) {
    raise(ErrorCode::kCorruptFile,
          "--compare: {}: expected what `lille bench --json` prints, got another: {}", printable_path(path),
          printable(failure.what()));
  }
}

std::string as_json(const Benchmark& bench, const std::filesystem::path& model,
                    const ComputeOptions& compute) {
  nlohmann::ordered_json report = {
      {"program", "lille " LILLE_VERSION}, {"model", printable_path(model.lexically_normal())},
      {"processor", cpu_model_name()},     {"kernels", bench.kernels},
      {"kv_bits", compute.kv_bits},        {"read_gb_per_s", bench.read_gb_per_s}};
  report["results"] = nlohmann::ordered_json::array();
  for (const Measurement& measured : bench.measurements) {
    nlohmann::ordered_json result = {{"work", measured.work},   {"threads", measured.threads},
                                     {"unit", measured.unit},   {"median", measured.median},
                                     {"least", measured.least}, {"most", measured.most},
                                     {"runs", measured.runs}};
    if (measured.limit > 0) result["limit"] = measured.limit;
    if (measured.bytes_per_token > 0) {
      result["bytes_per_token"] = measured.bytes_per_token;
      result["step_p50_s"] = measured.step_p50_s;
      result["step_p99_s"] = measured.step_p99_s;
    }
    report["results"].push_back(result);
  }
  return report.dump(2) + "\n";
}

// "1,234", "117.8", "0.0412"
std::string figure(double value) {
  return value >= 1000 ? fmt::format("{:.0f}", value)
         : value >= 1  ? fmt::format("{:.1f}", value)
                       : fmt::format("{:.4f}", value);
}

// How many times as fast as the other it is, or "" if that one has no such figure.
std::string ratio_text(const Measurement& measured, const Compared& compared) {
  for (const Measurement& other : compared.measurements)
    if (other.work == measured.work && other.threads == measured.threads && other.unit == measured.unit)
      return fmt::format(
          "{:.2f} x {}",
          measured.unit == "s" ? other.median / measured.median : measured.median / other.median,
          figure(other.median));
  return "";
}

std::string as_text(const Benchmark& bench, const Compared& compared) {
  std::string text = fmt::format("{}, kernels {}\n", cpu_model_name(), bench.kernels);
  text += fmt::format("{:<12}{:>8}  {:<9}{:>10}{:>22}{:>10}{:>10}{:>10}  {}\n", "work", "threads", "unit",
                      "median", "least to most", "of limit", "p50 ms", "p99 ms", compared.program);
  for (const Measurement& measured : bench.measurements) {
    const bool is_decode = measured.step_p50_s > 0;
    text += fmt::format(
        "{:<12}{:>8}  {:<9}{:>10}{:>22}{:>10}{:>10}{:>10}  {}\n", measured.work, measured.threads,
        measured.unit, figure(measured.median),
        fmt::format("{} to {}", figure(measured.least), figure(measured.most)),
        measured.limit > 0 ? fmt::format("{:.0f} %", 100 * measured.median / measured.limit) : "",
        is_decode ? fmt::format("{:.2f}", 1e3 * measured.step_p50_s) : "",
        is_decode ? fmt::format("{:.2f}", 1e3 * measured.step_p99_s) : "", ratio_text(measured, compared));
  }
  std::string rates;
  for (const double rate : bench.read_gb_per_s)
    rates += fmt::format("{}{:.1f}", rates.empty() ? "" : ", ", rate);
  return text + fmt::format("weights read at {} GB/s with these numbers of threads\n", rates);
}

void run_bench(const BenchArguments& arguments, const Environment& environment) {
  const Compared compared =
      arguments.compare_file.empty() ? Compared() : read_compared(arguments.compare_file);
  const Model model = load_model(arguments.model, environment);
  BenchmarkOptions options;
  if (arguments.model.threads != 0) options.threads = {arguments.model.threads};
  options.runs = arguments.runs;
  options.load.rope_layout = model.rope().layout;
  options.load.kernels = environment.forced_kernels;
  options.session = session_options(0, arguments.compute, environment);
  Benchmark bench;
  {
    ProgressBar bar("bench");
    options.on_progress = [&bar](int64_t n_done, int64_t n_total) { bar.show(n_done, n_total); };
    bench = benchmark(model.path(), options);
  }
  print(arguments.json ? as_json(bench, model.path(), arguments.compute) : as_text(bench, compared));
}

}  // namespace

void add_bench(CLI::App& program, const Environment& environment) {
  CLI::App* command = program.add_subcommand(
      "bench", "Times a model on this machine: start, prompts, answers, beside what its memory allows.");
  const auto arguments = std::make_shared<BenchArguments>();
  command->add_option("--runs", arguments->runs, "Timed runs of each work, after one to warm up; 1 to 1000.")
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--compare", arguments->compare_file,
                   "Set another run's --json beside this one: how many times as fast this one is.")
      ->type_name("FILE");
  command->add_flag("--json", arguments->json, "Print one JSON object.");
  add_options(*command, arguments->model);
  add_options(*command, arguments->compute);
  add_example(*command, "lille bench");
  command->callback([arguments, environment] { run_bench(*arguments, environment); });
}

}  // namespace lille::cli
