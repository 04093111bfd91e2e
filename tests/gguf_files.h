#pragma once

#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "io/gguf.h"
#include "io/safetensors.h"
#include "support.h"

namespace lille::test {

/// A .gguf file made from a folder in Hugging Face's form, by this code alone: what the project's own
/// exporter is held against.
class GgufOfFolder {
 public:
  explicit GgufOfFolder(const std::filesystem::path& folder, bool permutes_qk = true)
      : config_(nlohmann::json::parse(read_file(folder / "config.json"))),
        weights_(folder / "model.safetensors") {
    add_arguments();
    add_tensors(permutes_qk);
  }

  /// Adds the tokenizer of a folder with vocab.json and merges.txt.
  GgufOfFolder& with_tokenizer(const std::filesystem::path& folder) {
    const auto vocab = nlohmann::json::parse(read_file(folder / "vocab.json"));
    texts_.resize(vocab.size());
    for (const auto& [token, id] : vocab.items()) texts_.at(id.get<std::size_t>()) = token;
    for (const std::string& token : texts_)
      types_.push_back(token.starts_with("<|") && token.size() > 4 ? 3 : 1);
    merges_ = read_file(folder / "merges.txt");
    GgufArray merges{GgufType::kString, {}, {}, {}};
    std::string_view rest = merges_;
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      if (!rest.starts_with("#version")) merges.strings.push_back(rest.substr(0, end));
      rest = end == rest.npos ? "" : rest.substr(end + 1);
    }
    set("tokenizer.ggml.model", std::string_view("gpt2"));
    set("tokenizer.ggml.pre", std::string_view("gpt-2"));
    set("tokenizer.ggml.tokens", GgufArray{GgufType::kString, {}, {texts_.begin(), texts_.end()}, {}});
    set("tokenizer.ggml.token_type", GgufArray{GgufType::kI32, std::as_bytes(std::span(types_)), {}, {}});
    set("tokenizer.ggml.merges", std::move(merges));
    return *this;
  }

  /// Adds or changes a key. Texts and arrays are not copied.
  GgufOfFolder& set(const std::string& key, GgufValue value) {
    for (auto& [known, known_value] : metadata_)
      if (known == key) {
        known_value = std::move(value);
        return *this;
      }
    metadata_.emplace_back(key, std::move(value));
    return *this;
  }

  GgufOfFolder& drop(std::string_view key) {
    std::erase_if(metadata_, [key](const auto& entry) { return entry.first == key; });
    return *this;
  }

  std::vector<std::pair<std::string, GgufValue>>& metadata() { return metadata_; }
  std::vector<GgufTensorToSave>& tensors() { return tensors_; }

  std::filesystem::path save(const std::filesystem::path& path) const {
    save_gguf(path, metadata_, tensors_);
    return path;
  }

 private:
  int64_t whole(const char* key) const { return config_.at(key).get<int64_t>(); }

  void add_arguments() {
    set("general.architecture", std::string_view("llama"));
    const auto put = [this](const std::string& key, int64_t value) {
      set(key, static_cast<uint32_t>(value));
    };
    put("llama.context_length", whole("block_size"));
    put("llama.embedding_length", whole("n_embd"));
    put("llama.block_count", whole("n_layer"));
    put("llama.attention.head_count", whole("n_head"));
    put("llama.attention.head_count_kv", whole("n_kv_heads"));
    put("llama.feed_forward_length",
        weights_.at("transformer.layers.0.feed_forward.up_proj.weight").shape[0]);
    put("llama.rope.dimension_count", whole("n_embd") / whole("n_head"));
    put("llama.vocab_size", whole("vocab_size"));
    set("llama.attention.layer_norm_rms_epsilon", config_.at("layer_norm_eps").get<float>());
    set("llama.rope.freq_base", config_.at("rope_theta").get<float>());
  }

  void add(const std::string& name, const TensorView& view, int64_t first_row, int64_t n_rows,
           int64_t head_dim) {
    std::vector<int64_t> shape = view.shape;
    shape[0] = n_rows;
    const std::size_t row_bytes = view.bytes.size() / static_cast<std::size_t>(view.shape[0]);
    const auto rows = view.bytes.subspan(static_cast<std::size_t>(first_row) * row_bytes,
                                         static_cast<std::size_t>(n_rows) * row_bytes);
    tensors_.push_back({name, view.dtype, shape, [=] {
                          std::vector<std::byte> bytes(rows.begin(), rows.end());
                          for (int64_t row = 0; head_dim > 0 && row < n_rows; ++row) {
                            // Row j of a head's first half goes to 2j, of its second half to 2j + 1.
                            const int64_t in_head = row % head_dim;
                            const int64_t half = head_dim / 2;
                            const int64_t to =
                                row - in_head + (in_head < half ? 2 * in_head : 2 * (in_head - half) + 1);
                            std::memcpy(bytes.data() + static_cast<std::size_t>(to) * row_bytes,
                                        rows.data() + static_cast<std::size_t>(row) * row_bytes, row_bytes);
                          }
                          return bytes;
                        }});
  }

  void add_whole(const std::string& name, const std::string& from) {
    const TensorView& view = weights_.at("transformer." + from + ".weight");
    add(name + ".weight", view, 0, view.shape[0], 0);
  }

  void add_tensors(bool permutes_qk) {
    add_whole("token_embd", "tok_embeddings");
    add_whole("output_norm", "norm");
    const int64_t head_dim = whole("n_embd") / whole("n_head");
    const int64_t q_size = whole("n_head") * head_dim;
    const int64_t kv_size = whole("n_kv_heads") * head_dim;
    for (int64_t layer = 0; layer < whole("n_layer"); ++layer) {
      const std::string blk = "blk." + std::to_string(layer) + ".";
      const std::string from = "layers." + std::to_string(layer) + ".";
      const TensorView& qkv = weights_.at("transformer." + from + "attention.qkv_proj.weight");
      add_whole(blk + "attn_norm", from + "attention.norm");
      add(blk + "attn_q.weight", qkv, 0, q_size, permutes_qk ? head_dim : 0);
      add(blk + "attn_k.weight", qkv, q_size, kv_size, permutes_qk ? head_dim : 0);
      add(blk + "attn_v.weight", qkv, q_size + kv_size, kv_size, 0);
      add_whole(blk + "attn_output", from + "attention.out_proj");
      add_whole(blk + "ffn_norm", from + "feed_forward.norm");
      for (const char* part : {"gate", "up", "down"})
        add_whole(blk + "ffn_" + part, from + "feed_forward." + part + "_proj");
    }
  }

  nlohmann::json config_;
  SafetensorsFile weights_;
  std::vector<std::pair<std::string, GgufValue>> metadata_;
  std::vector<GgufTensorToSave> tensors_;
  std::vector<std::string> texts_;
  std::vector<int32_t> types_;
  std::string merges_;
};

}  // namespace lille::test
