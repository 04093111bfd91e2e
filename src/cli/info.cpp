#include <fmt/format.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/process.h"
#include "base/thread_pool.h"
#include "cli/cli.h"
#include "kernels/kernel_table.h"
#include "kernels/weight_kind.h"
#include "model/cache_type.h"

namespace lille::cli {
namespace {

// How the layout was found, for programs and for people.
struct SourceText {
  std::string_view name;
  std::string_view text;
};

SourceText source_text(RopeSource source) {
  switch (source) {
    case RopeSource::kRequested:
      return {"requested", "asked for"};
    case RopeSource::kConfig:
      return {"config", "named in the model"};
    case RopeSource::kRemembered:
      return {"remembered", "measured earlier"};
    case RopeSource::kMeasured:
      return {"measured", "measured"};
    case RopeSource::kDefault:
      return {"default", "mlx-lm's, by default"};
  }
  return {};
}

struct Memory {
  int64_t weights_bytes = 0;               // mapped, shared between processes
  std::map<int64_t, int64_t> cache_bytes;  // of one full context, by kv_bits
};

Memory memory_of(const Model& model) {
  Memory memory;
  for (const Model::Part& part : model.parts()) memory.weights_bytes += part.n_bytes;
  const ModelArgs& args = model.args();
  for (const CacheType type : kCacheTypes)
    if (args.head_dim() % kernels::block_weights(cache_kind(type)) == 0)
      memory.cache_bytes[kv_bits(type)] = args.block_size * cache_bytes_per_token(args, type);
  return memory;
}

// Bits of the file for each parameter, scales and biases included.
double bits_per_weight(int64_t n_bytes, int64_t n_parameters) {
  return 8 * static_cast<double>(n_bytes) / static_cast<double>(n_parameters);
}

int64_t count_parameters(const Model& model) {
  int64_t n_parameters = 0;
  for (const Model::Part& part : model.parts()) n_parameters += part.n_parameters;
  return n_parameters;
}

std::string as_json(const Model& model) {
  const Memory memory = memory_of(model);
  nlohmann::ordered_json info = nlohmann::ordered_json::parse(model.args().to_json());
  info["form"] = model.form();
  info["rope_layout"] = rope_layout_name(model.rope().layout);
  info["rope_layout_source"] = source_text(model.rope().source).name;
  info["head_dim"] = model.args().head_dim();
  info["hidden_dim"] = model.args().hidden_dim();
  info["n_parameters"] = count_parameters(model);
  for (const Model::Part& part : model.parts())
    info["parts"][part.name] = {
        {"n_parameters", part.n_parameters}, {"n_bytes", part.n_bytes}, {"dtype", part.dtype}};
  for (const Model::Storage& storage : model.storage())
    info["storage"][storage.dtype] = {{"n_parameters", storage.n_parameters}, {"n_bytes", storage.n_bytes}};
  info["bits_per_weight"] = bits_per_weight(memory.weights_bytes, count_parameters(model));
  info["weights_bytes"] = memory.weights_bytes;
  info["kv_cache_bytes"] = memory.cache_bytes.at(32);
  for (const auto& [bits, n_bytes] : memory.cache_bytes)
    info["kv_cache_bytes_by_kv_bits"][std::to_string(bits)] = n_bytes;
  return info.dump(2);
}

// "12.6 MB, 6.3 with --kv-bits 16, 3.3 with --kv-bits 8"
std::string cache_text(const Memory& memory) {
  std::string text = megabytes(memory.cache_bytes.at(32));
  for (const int64_t bits : {16, 8})
    if (const auto found = memory.cache_bytes.find(bits); found != memory.cache_bytes.end())
      text += fmt::format(", {:.1f} with --kv-bits {}", static_cast<double>(found->second) / 1e6, bits);
  return text;
}

std::string as_text(const Model& model) {
  const ModelArgs& args = model.args();
  const Memory memory = memory_of(model);
  std::string text = fmt::format("{}\n", model.path().string());
  const auto row = [&text](std::string_view name, const std::string& value) {
    text += fmt::format("  {:<18}{}\n", name, value);
  };
  row("form", model.form());
  row("model_type", args.model_type);
  row("n_layer", fmt::format("{}", args.n_layer));
  row("n_embd", fmt::format("{}", args.n_embd));
  row("n_head", fmt::format("{} of {} (head_dim)", args.n_head, args.head_dim()));
  row("n_kv_heads", fmt::format("{}", args.n_kv_heads));
  row("hidden_dim", fmt::format("{}", args.hidden_dim()));
  row("vocab_size", fmt::format("{}", args.vocab_size));
  row("block_size", fmt::format("{} tokens of context", args.block_size));
  row("layer_norm_eps", fmt::format("{}", args.layer_norm_eps));
  row("rope_theta", fmt::format("{}", args.rope_theta));
  row("rope_layout",
      fmt::format("{} ({})", rope_layout_name(model.rope().layout), source_text(model.rope().source).text));
  row("parameters", fmt::format("{}", count_parameters(model)));
  for (const Model::Part& part : model.parts())
    row(fmt::format("  {}", part.name), fmt::format("{:<12}{:>8.2f} MB  {}", part.n_parameters,
                                                    static_cast<double>(part.n_bytes) / 1e6, part.dtype));
  const auto n_parameters = static_cast<double>(count_parameters(model));
  row("storage",
      fmt::format("{:.2f} bits per weight", bits_per_weight(memory.weights_bytes, count_parameters(model))));
  for (const Model::Storage& storage : model.storage())
    row("", fmt::format("{:>5.1f} % {} at {:.2f} bits",
                        100 * static_cast<double>(storage.n_parameters) / n_parameters, storage.dtype,
                        bits_per_weight(storage.n_bytes, storage.n_parameters)));
  row("memory", fmt::format("{:.1f} MB of weights, mapped and shared; for a full context {}",
                            static_cast<double>(memory.weights_bytes) / 1e6, cache_text(memory)));
  return text;
}

std::string system_text(const Environment& environment) {
  check_kernels(environment);
  std::string supported;
  for (const kernels::KernelTable* table : kernels::supported_kernel_tables())
    supported += fmt::format("{}{}", supported.empty() ? "" : ", ", table->name);
  return fmt::format("  {:<18}{}\n  {:<18}{}\n  {:<18}{} (of {}; LILLE_FORCE_ISA chooses)\n", "processor",
                     cpu_model_name(), "threads", n_usable_cpus(), "kernels",
                     kernels::select_kernel_table(environment.forced_kernels).name, supported);
}

}  // namespace

void add_info(CLI::App& program, const Environment& environment) {
  struct Arguments {
    ModelOptions model;
    bool json = false;
    bool system = false;
  };
  CLI::App* command =
      program.add_subcommand("info", "Shows what a model is: shape, parameters, layout, memory.");
  const auto arguments = std::make_shared<Arguments>();
  add_options(*command, arguments->model);
  command->add_flag("--json", arguments->json, "Print one JSON object.");
  command->add_flag("--system", arguments->system, "Show the processor and the kernels it can run instead.");
  add_example(*command, "lille info");
  command->callback([arguments, environment] {
    if (arguments->system) return print(system_text(environment));
    const Model model = load_model(arguments->model, environment);
    print(arguments->json ? as_json(model) + "\n" : as_text(model));
  });
}

}  // namespace lille::cli
