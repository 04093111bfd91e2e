#include <fmt/format.h>

#include <map>

#include "base/check.h"
#include "base/text.h"
#include "io/gguf.h"
#include "io/gguf_file_types.h"
#include "io/gguf_model_args.h"
#include "io/model_args_checks.h"
#include "lille/convert.h"
#include "model/access.h"
#include "model/gguf_mixture.h"
#include "model/lille.h"
#include "model/matrix_rows.h"
#include "model/model_source.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/merges.h"

namespace lille {
namespace {

using Metadata = std::vector<std::pair<std::string, GgufValue>>;

/// What llama.cpp reads a tokenizer from, owned.
struct TokenTables {
  explicit TokenTables(const Tokenizer& tokenizer) {
    constexpr int32_t kNormal = 1;
    constexpr int32_t kControl = 3;
    VocabularyBuilder builder("the tokenizer");
    for (int64_t idx = 0; idx < tokenizer.vocab_size(); ++idx) {
      const auto id = static_cast<int32_t>(idx);
      const std::string_view bytes = tokenizer.token_bytes(id);
      const bool is_special = tokenizer.is_special(id);
      is_special ? builder.add_special(bytes, id) : builder.add_token(bytes, id);
      tokens.push_back(is_special ? std::string(bytes) : encode_byte_alphabet(bytes));
      types.push_back(is_special ? kControl : kNormal);
    }
    for (const Merge& merge : merges_of(std::move(builder).build()))
      merges.push_back(fmt::format("{} {}", tokens[static_cast<std::size_t>(merge.left)],
                                   tokens[static_cast<std::size_t>(merge.right)]));
  }

  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<std::string> merges;
};

GgufArray texts(const std::vector<std::string>& strings) {
  return {GgufType::kString, {}, {strings.begin(), strings.end()}, {}};
}

void add_arguments(Metadata& metadata, const ModelArgs& args) {
  for (const SizeKey& key : kSizeKeys)
    metadata.emplace_back(key.gguf_name, static_cast<uint32_t>(args.*key.member));
  metadata.emplace_back("llama.feed_forward_length", static_cast<uint32_t>(args.hidden_dim()));
  metadata.emplace_back("llama.rope.dimension_count", static_cast<uint32_t>(args.head_dim()));
  metadata.emplace_back("llama.attention.layer_norm_rms_epsilon", args.layer_norm_eps);
  const auto base = static_cast<float>(args.rope_theta);
  metadata.emplace_back("llama.rope.freq_base", base);
  if (double{base} != args.rope_theta) metadata.emplace_back(kRopeThetaKey, args.rope_theta);
}

void add_sampling(Metadata& metadata, const GgufExportOptions& options) {
  metadata.emplace_back("general.sampling.temp", options.temperature);
  metadata.emplace_back("general.sampling.top_p", options.top_p);
  if (options.top_k != 0)
    metadata.emplace_back("general.sampling.top_k", static_cast<int32_t>(options.top_k));
  if (options.min_p != 0) metadata.emplace_back("general.sampling.min_p", options.min_p);
  if (options.repetition_penalty != 1)
    metadata.emplace_back("general.sampling.penalty_repeat", options.repetition_penalty);
}

void add_tokenizer(Metadata& metadata, const Tokenizer& tokenizer, const TokenTables& tables,
                   const GgufExportOptions& options) {
  const auto id = [](int32_t token) { return static_cast<uint32_t>(token); };
  metadata.emplace_back("tokenizer.ggml.model", std::string_view("gpt2"));
  metadata.emplace_back("tokenizer.ggml.pre", std::string_view("gpt-2"));
  metadata.emplace_back("tokenizer.ggml.tokens", texts(tables.tokens));
  metadata.emplace_back("tokenizer.ggml.token_type",
                        GgufArray{GgufType::kI32, std::as_bytes(std::span(tables.types)), {}, {}});
  metadata.emplace_back("tokenizer.ggml.merges", texts(tables.merges));
  metadata.emplace_back("tokenizer.ggml.bos_token_id", id(tokenizer.bos_token_id()));
  metadata.emplace_back("tokenizer.ggml.eos_token_id", id(tokenizer.eos_token_id()));
  // A turn of the assistant ends where the user speaks, too.
  metadata.emplace_back("tokenizer.ggml.eot_token_id", id(tokenizer.user_token_id()));
  metadata.emplace_back("tokenizer.ggml.unknown_token_id", id(tokenizer.eos_token_id()));
  metadata.emplace_back("tokenizer.ggml.padding_token_id", id(tokenizer.pad_token_id()));
  metadata.emplace_back("tokenizer.ggml.add_bos_token", options.add_bos_token);
  metadata.emplace_back("tokenizer.ggml.add_eos_token", false);
  metadata.emplace_back("tokenizer.ggml.add_space_prefix", false);
  metadata.emplace_back("tokenizer.chat_template", kLilleChatTemplate);
}

/// Makes the tensors of a file from the weights of a model; bytes are made when their turn comes.
class TensorList {
 public:
  TensorList(const ModelParts& parts, const GgufExportOptions& options, bool permutes_qk, ThreadPool& pool)
      : parts_(parts), options_(options), pool_(pool) {
    const ModelArgs& args = parts.args;
    const Transformer& transformer = parts.transformer;
    embedding_.parts.push_back({transformer.tok_embeddings.weight, 0});
    add_matrix("token_embd", MatrixRole::kEmbedding, 0, embedding_);
    for (const Block& block : transformer.layers) {
      const int64_t layer_idx = block.attention.layer_idx;
      const std::string blk = fmt::format("blk.{}.", layer_idx);
      const Linear& qkv = block.attention.qkv_proj;
      const int64_t head_dim = permutes_qk ? args.head_dim() : 0;
      const int64_t q_size = args.q_size();
      const int64_t kv_size = args.kv_size();
      add_norm(blk + "attn_norm", block.attention.norm);
      add_rows(blk + "attn_q", MatrixRole::kQueries, layer_idx, {&qkv, 0, q_size, head_dim});
      add_rows(blk + "attn_k", MatrixRole::kKeys, layer_idx, {&qkv, q_size, kv_size, head_dim});
      add_rows(blk + "attn_v", MatrixRole::kValues, layer_idx, {&qkv, q_size + kv_size, kv_size, 0});
      add_matrix(blk + "attn_output", MatrixRole::kOutput, layer_idx, block.attention.out_proj);
      add_norm(blk + "ffn_norm", block.feed_forward.norm);
      add_matrix(blk + "ffn_gate", MatrixRole::kGate, layer_idx, block.feed_forward.gate_proj);
      add_matrix(blk + "ffn_up", MatrixRole::kUp, layer_idx, block.feed_forward.up_proj);
      add_matrix(blk + "ffn_down", MatrixRole::kDown, layer_idx, block.feed_forward.down_proj);
    }
    add_norm("output_norm", transformer.norm);
  }

  const std::vector<GgufTensorToSave>& tensors() const noexcept { return tensors_; }
  bool is_quantised() const noexcept { return is_quantised_; }
  /// The type of most weights.
  DType main_type() const {
    DType main = DType::kF32;
    for (const auto& [dtype, n_weights] : n_weights_)
      if (!n_weights_.contains(main) || n_weights > n_weights_.at(main)) main = dtype;
    return main;
  }

 private:
  struct RowRange {
    const Linear* linear;
    int64_t first;
    int64_t n;
    int64_t permuted_head_dim;
  };

  void add_matrix(const std::string& name, MatrixRole role, int64_t layer_idx, const Linear& linear) {
    add_rows(name, role, layer_idx, {&linear, 0, linear.parts.front().weight.n_out, 0});
  }

  void add_rows(const std::string& name, MatrixRole role, int64_t layer_idx, const RowRange& rows) {
    const kernels::WeightMatrix& stored = part_of(rows);
    const DType dtype = options_.type.empty() ? stored_type(stored)
                                              : gguf_mixture(options_.type, role, layer_idx,
                                                             parts_.args.n_layer, stored.n_in, options_.pure);
    is_quantised_ = is_quantised_ || dtype_block_elements(dtype) > 1;
    n_weights_[dtype] += rows.n * stored.n_in;
    tensors_.push_back({name + ".weight", dtype, {rows.n, stored.n_in}, [this, rows, dtype, name] {
                          const OwnedMatrix owned =
                              copy_rows(*rows.linear, rows.first, rows.n, rows.permuted_head_dim);
                          return encode_matrix(owned.matrix, dtype, name, pool_);
                        }});
  }

  // llama.cpp takes norms in float32 only; the values are the same.
  void add_norm(const std::string& name, const ops::NormWeight& norm) {
    tensors_.push_back({name + ".weight", DType::kF32, {norm.n}, [this, norm, name] {
                          kernels::WeightMatrix row;
                          row.kind = norm.kind == kernels::FloatKind::kF32   ? kernels::WeightKind::kF32
                                     : norm.kind == kernels::FloatKind::kF16 ? kernels::WeightKind::kF16
                                                                             : kernels::WeightKind::kBF16;
                          row.data = norm.data;
                          row.n_out = 1;
                          row.n_in = norm.n;
                          return encode_matrix(row, DType::kF32, name, pool_);
                        }});
  }

  static const kernels::WeightMatrix& part_of(const RowRange& rows) {
    int64_t begin = 0;
    for (const LinearPart& part : rows.linear->parts) {
      if (rows.first < begin + part.weight.n_out) return part.weight;
      begin += part.weight.n_out;
    }
    return rows.linear->parts.back().weight;
  }

  static DType stored_type(const kernels::WeightMatrix& stored) {
    const std::optional<DType> dtype = gguf_dtype(stored.kind);
    if (!dtype)
      raise(ErrorCode::kInvalidArgument,
            "[export_gguf] expected a type for weights that are quantised in MLX's form, which GGUF does not "
            "have, "
            "got none. Hint: one of {}",
            gguf_mixture_names());
    return *dtype;
  }

  const ModelParts& parts_;
  const GgufExportOptions& options_;
  ThreadPool& pool_;
  Linear embedding_;
  std::vector<GgufTensorToSave> tensors_;
  std::map<DType, int64_t> n_weights_;
  bool is_quantised_ = false;
};

void check_vocabulary(const Tokenizer& tokenizer, const ModelArgs& args) {
  if (tokenizer.vocab_size() != args.vocab_size)
    raise(
        ErrorCode::kInvalidArgument,
        "[export_gguf] tokenizer: expected the model's {} tokens, got {}. Hint: are they of one checkpoint?",
        args.vocab_size, tokenizer.vocab_size());
}

void warn(const Model& model, const WarningCallback& on_warning) {
  if (!on_warning) return;
  if (model.rope().layout == RopeLayout::kOriginal)
    on_warning(
        "the weights are meant for the rotary layout `original`, which llama.cpp does not compute: with this "
        "file it "
        "computes `half`, as with the author's, and predicts worse the longer the text is. Read by lille, "
        "the file "
        "is right (docs/GGUF.md).");
  if (const std::string fault = chat_template_fault(model.path()); !fault.empty())
    on_warning(fmt::format("the file gets Lille's chat template instead of the model's: {}", fault));
  if (model.rope().source == RopeSource::kDefault)
    on_warning(
        "the rotary layout of the weights is not known and taken to be `interleaved`; --rope names another");
}

// The mapped weights of the model must not be replaced while they are read, nor lost.
void check_target(const Model& model, const std::filesystem::path& path, bool overwrite) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return;
  for (const std::filesystem::path& file : Access::parts(model).source->files())
    if (std::filesystem::equivalent(file, path, ignored))
      raise(ErrorCode::kInvalidArgument,
            "[export_gguf] {}: expected another file than those of the model. Hint: name a new file",
            printable_path(path));
  if (!overwrite)
    raise(
        ErrorCode::kInvalidArgument,
        "[export_gguf] {}: expected no such file yet, got one. Hint: name a new file, or allow to overwrite "
        "this one",
        printable_path(path));
}

std::optional<uint32_t> file_type(const std::string& type, const TensorList& list) {
  const std::string_view name = type.empty() ? dtype_name(list.main_type()) : std::string_view(type);
  for (const GgufFileTypeRow& row : kGgufFileTypes)
    if (row.name == name) return row.number;
  return std::nullopt;
}

Metadata general_metadata(const TensorList& list, const GgufExportOptions& options) {
  constexpr uint32_t kQuantizationVersion = 2;
  Metadata metadata = {{"general.architecture", std::string_view("llama")},
                       {"general.type", std::string_view("model")}};
  if (!options.name.empty()) metadata.emplace_back("general.name", std::string_view(options.name));
  if (const std::optional<uint32_t> number = file_type(options.type, list))
    metadata.emplace_back("general.file_type", *number);
  if (list.is_quantised()) metadata.emplace_back("general.quantization_version", kQuantizationVersion);
  return metadata;
}

}  // namespace

void export_gguf(const Model& model, const Tokenizer& tokenizer, const std::filesystem::path& path,
                 const GgufExportOptions& options) {
  check_target(model, path, options.overwrite);
  check_vocabulary(tokenizer, model.args());
  const RopeLayout layout = model.rope().layout;
  const bool permutes_qk = layout != RopeLayout::kInterleaved;
  ThreadPool pool(thread_count(options.n_threads));
  const TensorList list(Access::parts(model), options, permutes_qk, pool);
  const TokenTables tables(tokenizer);

  Metadata metadata = general_metadata(list, options);
  add_sampling(metadata, options);
  add_arguments(metadata, model.args());
  metadata.emplace_back(kRopeLayoutKey, rope_layout_name(layout));
  metadata.emplace_back(kQkPermutedKey, permutes_qk);
  add_tokenizer(metadata, tokenizer, tables, options);
  warn(model, options.on_warning);
  save_gguf(path, metadata, list.tensors());
}

}  // namespace lille
