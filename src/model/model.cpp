#include <algorithm>
#include <functional>
#include <map>
#include <optional>

#include "base/check.h"
#include "base/text.h"
#include "base/thread_pool.h"
#include "kernels/weight_kind.h"
#include "lille/tokenizer.h"
#include "model/access.h"
#include "model/lille.h"
#include "model/non_finite.h"
#include "model/parameters.h"
#include "model/rope_choice.h"
#include "model/weight_types.h"

namespace lille {
namespace {

// The model's tokenizer if it is one the built-in text can be read with.
std::optional<Tokenizer> find_tokenizer(const Model& model, const WarningCallback& on_warning) {
  if (!Tokenizer::exists(model.path())) return std::nullopt;
  try {
    Tokenizer tokenizer = Tokenizer::load(model.path());
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
  const std::vector<std::filesystem::path> files = Access::parts(model).source->files();
  const RopeMemory memory(options.cache_folder);
  if (std::optional<RopeChoice> remembered = memory.recall(files)) return *remembered;
  const std::optional<Tokenizer> tokenizer = find_tokenizer(model, options.on_warning);
  if (!tokenizer) return {};
  const RopeChoice choice = measure_rope_layout(
      model, *tokenizer, {options.n_threads, options.kernels, false}, options.on_progress);
  memory.remember(files, choice);
  return choice;
}

int64_t count_parameters(const Parameter& parameter, const StoredTensor& tensor) {
  return parameter.tensors.size() == 1 ? parameter.spec->n_parameters() : tensor.weight->n_elements();
}

std::vector<Model::Part> summarize(std::span<const Parameter> parameters) {
  std::map<ParameterPart, Model::Part> counted;
  std::map<ParameterPart, std::vector<std::string>> types;
  static constexpr std::string_view kPartNames[] = {"tok_embeddings", "attention", "feed_forward", "norm"};
  for (const Parameter& parameter : parameters) {
    Model::Part& part = counted[parameter.spec->part];
    part.name = kPartNames[static_cast<std::size_t>(parameter.spec->part)];
    part.n_parameters += parameter.spec->n_parameters();
    for (const StoredTensor& tensor : parameter.tensors) {
      part.n_bytes += tensor.n_bytes();
      types[parameter.spec->part].push_back(tensor.storage());
    }
  }
  std::vector<Model::Part> summary;
  for (auto& [key, part] : counted) {
    part.dtype = join_types(types[key]);
    summary.push_back(std::move(part));
  }
  return summary;
}

// The types that weights are stored in, the one with most of them first.
std::vector<Model::Storage> count_storage(std::span<const Parameter> parameters) {
  std::map<std::string, Model::Storage> counted;
  for (const Parameter& parameter : parameters)
    for (const StoredTensor& tensor : parameter.tensors) {
      Model::Storage& storage = counted[tensor.storage()];
      storage.n_parameters += count_parameters(parameter, tensor);
      storage.n_bytes += tensor.n_bytes();
    }
  std::vector<Model::Storage> storages;
  for (auto& [dtype, storage] : counted) {
    storage.dtype = dtype;
    storages.push_back(std::move(storage));
  }
  std::ranges::stable_sort(storages, std::greater<>(), &Model::Storage::n_parameters);
  return storages;
}

}  // namespace

Model::Model(std::shared_ptr<const ModelParts> parts) : parts_(std::move(parts)) {}

Model Model::load(const std::filesystem::path& path, const LoadOptions& options) {
  return Access::load(path, options, options.on_warning);
}

Model Access::load(const std::filesystem::path& path, const LoadOptions& options,
                   const WarningCallback& on_non_finite) {
  std::unique_ptr<const ModelSource> source = ModelSource::open(path);
  ModelArgs args = source->args();
  const StoredParameters stored(*source, args, options.on_warning);
  const std::span<const Parameter> parameters = stored.all();
  ThreadPool pool(thread_count(options.n_threads));
  warn_of_non_finite(pool, parameters, on_non_finite);

  Transformer transformer = bind_parameters(args, parameters, source->has_permuted_qk());
  ops::RopeTable rope_table(args.block_size, args.head_dim(), args.rope_theta);
  std::vector<Model::Part> summary = summarize(parameters);
  std::vector<Model::Storage> storage = count_storage(parameters);
  const auto parts = std::make_shared<ModelParts>(ModelParts{std::move(args),
                                                             std::move(source),
                                                             std::move(transformer),
                                                             std::move(rope_table),
                                                             std::move(summary),
                                                             std::move(storage),
                                                             {}});
  const Model model(parts);
  parts->rope = choose_rope(model, options);
  return model;
}

const ModelArgs& Model::args() const noexcept { return parts_->args; }

const RopeChoice& Model::rope() const noexcept { return parts_->rope; }

const std::filesystem::path& Model::path() const noexcept { return parts_->source->path(); }

std::string Model::form() const { return parts_->source->form(); }

std::vector<Model::Part> Model::parts() const { return parts_->summary; }

std::vector<Model::Storage> Model::storage() const { return parts_->storage; }

}  // namespace lille
