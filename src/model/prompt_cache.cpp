#include "lille/prompt_cache.h"

#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "base/content_hash.h"
#include "base/text.h"
#include "io/safetensors.h"
#include "kernels/weight_kind.h"
#include "model/access.h"
#include "model/cache_type.h"
#include "model/fingerprint.h"

namespace lille {
namespace {

constexpr std::string_view kAction = "load_prompt_cache";
constexpr std::string_view kFormat = "lille-prompt-cache";
constexpr int64_t kFormatVersion = 2;
constexpr std::string_view kFillAgain = "delete the file and fill the cache again";
constexpr std::string_view kOtherModel = "load the model it was made with, or name another file";

// How a tensor of keys, or values, holds the rows of a cache.
struct RowForm {
  DType dtype;
  int64_t n_elements;
};

RowForm row_form(CacheType type, int64_t head_dim) {
  if (type == CacheType::kF32) return {DType::kF32, head_dim};
  if (type == CacheType::kBF16) return {DType::kBF16, head_dim};
  return {DType::kU8, kernels::row_bytes(cache_kind(type), head_dim)};
}

std::string tensor_name(std::size_t layer_idx, std::string_view what) {
  return fmt::format("layers.{}.{}", layer_idx, what);
}

// Everything a file holds, in the order of its tensors, so that no part of it can change unnoticed.
std::string checksum_of(std::span<const std::span<const std::byte>> contents) {
  ContentHash hash;
  for (const std::span<const std::byte> bytes : contents) hash.update(bytes);
  return hash.digits();
}

std::vector<std::byte> joined(const KVCache& layer,
                              std::span<const std::byte> (KVCache::*held)(int64_t) const noexcept) {
  std::vector<std::byte> bytes;
  for (int64_t head_idx = 0; head_idx < layer.n_kv_heads(); ++head_idx) {
    const std::span<const std::byte> head = (layer.*held)(head_idx);
    bytes.insert(bytes.end(), head.begin(), head.end());
  }
  return bytes;
}

/// Checks a file against a model, field by field; every fault names the file and the field.
class Reader {
 public:
  Reader(const SafetensorsFile& file, const Model& model)
      : file_(file), model_(model), path_(printable_path(file.path())) {}

  PromptCache read(const LoadPromptCacheOptions& options) {
    check_format();
    const CacheType type = read_type(options);
    offset_ = read_offset();
    check_model(options);
    check_tensors(type);
    PromptCache cache(model_, type);
    const std::span<KVCache> layers = Access::layers(cache);
    for (std::size_t layer_idx = 0; layer_idx < layers.size(); ++layer_idx)
      layers[layer_idx].assign(offset_, file_.at(tensor_name(layer_idx, "keys")).bytes,
                               file_.at(tensor_name(layer_idx, "values")).bytes);
    if (offset_ > 0) Access::append(cache, read_tokens(), field("kernels"));
    return cache;
  }

 private:
  [[noreturn]] void fail(ErrorCode code, std::string_view what, std::string_view expected,
                         std::string_view found, std::string_view hint) const {
    raise(code, "[{}] {}: {}: expected {}, got {}. Hint: {}", kAction, path_, what, expected, found, hint);
  }

  const std::string& field(const std::string& key) const {
    const auto found = file_.metadata().find(key);
    if (found == file_.metadata().end())
      fail(ErrorCode::kCorruptFile, key, "this field in the metadata", "none",
           "name a file that save_prompt_cache wrote");
    return found->second;
  }

  int64_t number(const std::string& key) const {
    const std::string& text = field(key);
    int64_t value = -1;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc() || end != text.data() + text.size() || value < 0)
      fail(ErrorCode::kCorruptFile, key, "a whole number from 0", quoted(text), kFillAgain);
    return value;
  }

  static std::string quoted(std::string_view text) { return fmt::format("\"{}\"", printable(text)); }

  void expect(const std::string& key, std::string_view wanted, std::string_view whose,
              std::string_view hint) const {
    if (field(key) == wanted) return;
    fail(ErrorCode::kInvalidArgument, key, fmt::format("{}, {}", wanted, whose), printable(field(key)), hint);
  }

  void check_format() const {
    if (field("format") != kFormat)
      fail(ErrorCode::kCorruptFile, "format", kFormat, quoted(field("format")),
           "name a file that save_prompt_cache wrote");
    const int64_t version = number("format_version");
    if (version > kFormatVersion)
      fail(ErrorCode::kUnsupported, "format_version", fmt::format("{} or lower", kFormatVersion),
           fmt::format("{}", version), "a newer version wrote it: use that one, or name another file");
    if (version < 1) fail(ErrorCode::kCorruptFile, "format_version", "1 or more", "0", kFillAgain);
  }

  CacheType read_type(const LoadPromptCacheOptions& options) const {
    const std::string& name = field("cache_type");
    for (const CacheType type : kCacheTypes)
      if (name == cache_type_name(type)) {
        if (options.type)
          expect("cache_type", cache_type_name(*options.type), "as asked for",
                 fmt::format("ask for kv_bits {}, or name another file", kv_bits(type)));
        check_cache_type(type, model_.args());
        return type;
      }
    fail(ErrorCode::kCorruptFile, "cache_type", "F32, BF16 or Q8_0", quoted(name), kFillAgain);
  }

  int64_t read_offset() const {
    const int64_t offset = number("offset");
    if (offset > model_.args().block_size)
      fail(ErrorCode::kInvalidArgument, "offset",
           fmt::format("at most {} tokens, the model's block_size", model_.args().block_size),
           fmt::format("{}", offset), kOtherModel);
    return offset;
  }

  void check_model(const LoadPromptCacheOptions& options) const {
    const ModelArgs& args = model_.args();
    constexpr std::string_view kWhose = "as the model has";
    expect("n_layer", fmt::format("{}", args.n_layer), kWhose, kOtherModel);
    expect("n_kv_heads", fmt::format("{}", args.n_kv_heads), kWhose, kOtherModel);
    expect("head_dim", fmt::format("{}", args.head_dim()), kWhose, kOtherModel);
    expect("rope_layout", rope_layout_name(model_.rope().layout), "as the model was loaded",
           "load the model with the other layout, or name another file");
    if (!options.kernels.empty() && offset_ > 0)
      expect("kernels", options.kernels, "as this session has",
             "kernels differ in the last places: force the other ones, or name another file");
    expect("model", fingerprint(Access::parts(model_)), "the fingerprint of the model's weights",
           kOtherModel);
  }

  // Also notes every tensor's content, in the order of save_prompt_cache.
  void check_tensor(const std::string& name, DType dtype, const std::vector<int64_t>& shape) {
    const TensorView* tensor = file_.find(name);
    const std::string wanted = fmt::format("{} of {}", shape_text(shape), dtype_name(dtype));
    if (tensor == nullptr) fail(ErrorCode::kCorruptFile, name, wanted, "no such tensor", kFillAgain);
    if (tensor->dtype != dtype || tensor->shape != shape)
      fail(ErrorCode::kCorruptFile, name, wanted,
           fmt::format("{} of {}", shape_text(tensor->shape), dtype_name(tensor->dtype)), kFillAgain);
    contents_.push_back(tensor->bytes);
  }

  void check_tensors(CacheType type) {
    const ModelArgs& args = model_.args();
    const RowForm rows = row_form(type, args.head_dim());
    check_tensor("tokens", DType::kI32, {offset_});
    for (std::size_t layer_idx = 0; layer_idx < static_cast<std::size_t>(args.n_layer); ++layer_idx)
      for (const std::string_view what : {"keys", "values"})
        check_tensor(tensor_name(layer_idx, what), rows.dtype, {args.n_kv_heads, offset_, rows.n_elements});
    if (file_.tensors().size() != contents_.size())
      fail(ErrorCode::kCorruptFile, "tensors", fmt::format("{}", contents_.size()),
           fmt::format("{}", file_.tensors().size()), kFillAgain);
    const std::string checksum = checksum_of(contents_);
    if (field("checksum") != checksum)
      fail(ErrorCode::kCorruptFile, "checksum", fmt::format("{}, that of the tensors", checksum),
           quoted(field("checksum")), "the file is damaged: delete it and fill the cache again");
  }

  std::vector<int32_t> read_tokens() const {
    const std::span<const std::byte> bytes = file_.at("tokens").bytes;
    std::vector<int32_t> tokens(static_cast<std::size_t>(offset_));
    std::memcpy(tokens.data(), bytes.data(), bytes.size());
    const int64_t vocab_size = model_.args().vocab_size;
    for (const int32_t id : tokens)
      if (id < 0 || id >= vocab_size)
        fail(ErrorCode::kCorruptFile, "tokens", fmt::format("ids from 0 to {}", vocab_size - 1),
             fmt::format("{}", id), kFillAgain);
    return tokens;
  }

  const SafetensorsFile& file_;
  const Model& model_;
  std::string path_;
  int64_t offset_ = 0;
  std::vector<std::span<const std::byte>> contents_;
};

SafetensorsFile open(const std::filesystem::path& path) {
  try {
    return SafetensorsFile(path);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCorruptFile) throw;
    raise(ErrorCode::kCorruptFile, "{} If it was a prompt cache, {}.", error.what(), kFillAgain);
  }
}

}  // namespace

void save_prompt_cache(const std::filesystem::path& path, const PromptCache& cache) {
  const ModelArgs& args = cache.model().args();
  const RowForm rows = row_form(cache.type(), args.head_dim());
  const std::vector<int64_t> shape = {args.n_kv_heads, cache.offset(), rows.n_elements};
  const std::span<const KVCache> layers = Access::layers(cache);
  std::vector<std::vector<std::byte>> held;
  held.reserve(2 * layers.size());
  std::vector<TensorToSave> tensors = {
      {"tokens", DType::kI32, {cache.offset()}, std::as_bytes(cache.tokens())}};
  for (std::size_t layer_idx = 0; layer_idx < layers.size(); ++layer_idx) {
    held.push_back(joined(layers[layer_idx], &KVCache::keys));
    tensors.push_back({tensor_name(layer_idx, "keys"), rows.dtype, shape, held.back()});
    held.push_back(joined(layers[layer_idx], &KVCache::values));
    tensors.push_back({tensor_name(layer_idx, "values"), rows.dtype, shape, held.back()});
  }
  std::vector<std::span<const std::byte>> contents;
  for (const TensorToSave& tensor : tensors) contents.push_back(tensor.bytes);
  save_safetensors(path, tensors,
                   {{"format", std::string(kFormat)},
                    {"format_version", fmt::format("{}", kFormatVersion)},
                    {"cache_type", std::string(cache_type_name(cache.type()))},
                    {"offset", fmt::format("{}", cache.offset())},
                    {"n_layer", fmt::format("{}", args.n_layer)},
                    {"n_kv_heads", fmt::format("{}", args.n_kv_heads)},
                    {"head_dim", fmt::format("{}", args.head_dim())},
                    {"rope_layout", std::string(rope_layout_name(cache.model().rope().layout))},
                    {"kernels", std::string(cache.kernels())},
                    {"model", fingerprint(Access::parts(cache.model()))},
                    {"checksum", checksum_of(contents)}});
}

PromptCache load_prompt_cache(const std::filesystem::path& path, const Model& model,
                              const LoadPromptCacheOptions& options) {
  const SafetensorsFile file = open(path);
  return Reader(file, model).read(options);
}

int64_t reusable_prefix(const PromptCache& cache, std::span<const int32_t> prompt) noexcept {
  if (prompt.empty()) return 0;
  const std::span<const int32_t> readable = prompt.first(prompt.size() - 1);
  return std::ranges::mismatch(cache.tokens(), readable).in2 - readable.begin();
}

std::span<const int32_t> reuse_prefix(PromptCache& cache, std::span<const int32_t> prompt) noexcept {
  const int64_t n_reused = reusable_prefix(cache, prompt);
  cache.trim(cache.offset() - n_reused);
  return prompt.subspan(static_cast<std::size_t>(n_reused));
}

}  // namespace lille
