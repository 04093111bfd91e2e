#include <map>

#include "base/check.h"
#include "base/text.h"
#include "lille/tokenizer.h"
#include "model/access.h"
#include "model/lille.h"
#include "model/parameters.h"
#include "model/rope_choice.h"

namespace lille {
namespace {

void check_folder(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (std::filesystem::is_directory(folder, ignored)) return;
  raise(ErrorCode::kNotFound,
        "[load] {}: expected a folder with config.json, model.safetensors and tokenizer files, got {}. "
        "Hint: is the path right?",
        printable_path(folder), std::filesystem::exists(folder, ignored) ? "a file" : "nothing there");
}

// The folder's tokenizer if it is one the built-in text can be read with.
std::optional<Tokenizer> find_tokenizer(const Model& model, const WarningCallback& on_warning) {
  if (!Tokenizer::exists(model.folder())) return std::nullopt;
  try {
    Tokenizer tokenizer = Tokenizer::load(model.folder());
    if (tokenizer.vocab_size() == model.args().vocab_size) return tokenizer;
  } catch (const Error& error) {
    if (on_warning)
      on_warning(fmt::format("the rotary layout cannot be measured without a tokenizer: {}", error.what()));
  }
  return std::nullopt;
}

RopeChoice choose_rope(const Model& model, const LoadOptions& options) {
  if (options.rope_layout) return {*options.rope_layout, RopeSource::kRequested, {}, 0};
  if (model.args().rope_layout) return {*model.args().rope_layout, RopeSource::kConfig, {}, 0};
  std::vector<std::filesystem::path> files;
  for (const SafetensorsFile& file : Access::parts(model).checkpoint.files()) files.push_back(file.path());
  files.push_back(model.folder() / "config.json");
  const RopeMemory memory(options.cache_folder);
  if (std::optional<RopeChoice> remembered = memory.recall(files)) return *remembered;
  const std::optional<Tokenizer> tokenizer = find_tokenizer(model, options.on_warning);
  if (!tokenizer) return {};
  const RopeChoice choice =
      measure_rope_layout(model, *tokenizer, {options.n_threads, options.kernels}, options.on_progress);
  memory.remember(files, choice);
  return choice;
}

std::string storage_text(const Parameter& parameter, const ModelArgs& args) {
  if (parameter.scales == nullptr) return std::string(dtype_name(parameter.weight->dtype));
  const LayerQuantization setting = *args.quantization->of_layer(parameter.spec->name);
  return fmt::format("{}-bit, groups of {}, {} scales", setting.bits, setting.group_size,
                     dtype_name(parameter.scales->dtype));
}

}  // namespace

Model::Model(std::shared_ptr<const ModelParts> parts) : parts_(std::move(parts)) {}

Model Model::load(const std::filesystem::path& folder, const LoadOptions& options) {
  check_folder(folder);
  ModelArgs args = ModelArgs::load(folder / "config.json");
  const std::vector<ParameterSpec> table = parameter_table(args);
  Checkpoint checkpoint(folder);
  const std::vector<NamedTensor> tensors = sanitize(checkpoint.tensors(), options.on_warning);
  const std::vector<Parameter> parameters = match_parameters(table, tensors, args, printable_path(folder));
  ThreadPool pool(options.n_threads == 0 ? n_usable_cpus() : options.n_threads);
  warn_of_non_finite(pool, parameters, options.on_warning);

  std::map<ParameterPart, Part> counted;
  static constexpr std::string_view kPartNames[] = {"tok_embeddings", "attention", "feed_forward", "norm"};
  for (const Parameter& parameter : parameters) {
    Part& part = counted[parameter.spec->part];
    part.name = kPartNames[static_cast<std::size_t>(parameter.spec->part)];
    part.n_parameters += parameter.spec->n_parameters();
    part.n_bytes += parameter.n_bytes();
    const std::string dtype = storage_text(parameter, args);
    if (part.dtype.find(dtype) == std::string::npos)
      part.dtype += (part.dtype.empty() ? "" : " and ") + dtype;
  }
  std::vector<Part> parts_summary;
  for (auto& [key, part] : counted) parts_summary.push_back(std::move(part));

  Transformer transformer = bind_parameters(args, parameters);
  ops::RopeTable rope_table(args.block_size, args.head_dim(), args.rope_theta);
  const auto parts = std::make_shared<ModelParts>(ModelParts{std::move(args),
                                                             folder,
                                                             std::move(checkpoint),
                                                             std::move(transformer),
                                                             std::move(rope_table),
                                                             std::move(parts_summary),
                                                             {}});
  const Model model(parts);
  parts->rope = choose_rope(model, options);
  return model;
}

const ModelArgs& Model::args() const noexcept { return parts_->args; }

const RopeChoice& Model::rope() const noexcept { return parts_->rope; }

const std::filesystem::path& Model::folder() const noexcept { return parts_->folder; }

std::vector<Model::Part> Model::parts() const { return parts_->summary; }

}  // namespace lille
