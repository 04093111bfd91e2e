#include <algorithm>
#include <cstddef>
#include <cstring>

#include "capi/arguments.h"
#include "capi/error.h"
#include "capi/handles.h"

namespace lille::capi {

Model load_model(const std::string& name, const lille_options& options) {
  LoadOptions load;
  load.rope_layout = rope_layout_from_name(options.model.rope);
  load.cache_folder = options.cache_folder;
  load.n_threads = options.model.threads;
  if (options.on_warning != nullptr)
    load.on_warning = [&options](std::string_view message) {
      options.on_warning(std::string(message).c_str(), options.on_warning_data);
    };
  if (!options.hub) return Model::load(name, load);
  HubOptions hub = *options.hub;
  hub.on_note = load.on_warning;
  return Model::load(resolve_model(name, hub), load);
}

const lille_tokenizer& tokenizer_of(const lille_model& model, std::string_view where) {
  if (!model.tokenizer)
    raise(ErrorCode::kNotFound, "[{}] {}: expected a tokenizer beside the model, got none", where,
          printable_path(model.model.path()));
  return *model.tokenizer;
}

namespace {

lille_model load_with_tokenizer(const std::string& path, const lille_options& options) {
  Model model = load_model(path, options);
  std::optional<lille_tokenizer> tokenizer;
  if (Tokenizer::exists(model.path())) {
    tokenizer = load_tokenizer(model.path());
    check_vocabulary(tokenizer->tokenizer, model.args());
  }
  GenerationDefaults defaults = load_generation_defaults(model.path());
  std::string form = model.form();
  return {std::move(model), std::move(tokenizer), defaults, std::move(form)};
}

lille_model_info info_of(const lille_model& model) {
  const ModelArgs& args = model.model.args();
  lille_model_info info = {};
  info.block_size = args.block_size;
  info.vocab_size = args.vocab_size;
  info.n_embd = args.n_embd;
  info.n_head = args.n_head;
  info.n_kv_heads = args.n_kv_heads;
  info.n_layer = args.n_layer;
  info.hidden_dim = args.hidden_dim();
  for (const Model::Part& part : model.model.parts()) {
    info.n_parameters += part.n_parameters;
    info.n_bytes += part.n_bytes;
  }
  info.rope_theta = args.rope_theta;
  info.layer_norm_eps = static_cast<double>(args.layer_norm_eps);
  info.has_tokenizer = model.tokenizer ? 1 : 0;
  info.rope_layout = rope_layout_name(model.model.rope().layout).data();
  info.form = model.form.c_str();
  return info;
}

// Version 0.1 had fields up to `form`; no later one is as large as kMaxBytes.
constexpr int64_t kFirstBytes = offsetof(lille_model_info, form) + sizeof(lille_model_info::form);
constexpr int64_t kMaxBytes = 4096;

bool is_info_size(int64_t info_bytes) noexcept {
  return info_bytes >= kFirstBytes && info_bytes <= kMaxBytes;
}

void copy_info(const lille_model_info& known, lille_model_info* info, int64_t info_bytes) {
  if (!is_info_size(info_bytes))
    raise(ErrorCode::kInvalidArgument,
          "[lille_model_get_info] info_bytes: expected sizeof(lille_model_info), from {} to {}, got {}",
          kFirstBytes, kMaxBytes, info_bytes);
  std::memcpy(info, &known, std::min(static_cast<std::size_t>(info_bytes), sizeof known));
}

}  // namespace
}  // namespace lille::capi

namespace capi = lille::capi;

lille_status lille_model_load(const char* path, const lille_options* options, lille_model** model,
                              lille_error* error) {
  capi::clear(model);
  return capi::guarded(error, [&] {
    lille_model*& result = capi::needed(model, "lille_model_load: model");
    const std::string name(capi::text_of(path, "lille_model_load: path"));
    result = new lille_model(capi::load_with_tokenizer(name, capi::options_or_none(options)));
  });
}

void lille_model_free(lille_model* model) { delete model; }

lille_status lille_model_get_info(const lille_model* model, lille_model_info* info, int64_t info_bytes,
                                  lille_error* error) {
  if (info != nullptr && capi::is_info_size(info_bytes))
    std::memset(info, 0, static_cast<std::size_t>(info_bytes));
  return capi::guarded(error, [&] {
    const lille_model& known = capi::needed(model, "lille_model_get_info: model");
    capi::needed(info, "lille_model_get_info: info");
    capi::copy_info(capi::info_of(known), info, info_bytes);
  });
}
