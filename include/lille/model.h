#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "lille/model_args.h"

namespace lille {

class KVCache;
struct Access;
struct ModelParts;

/// Receives one line about something that works but that a user should know.
using WarningCallback = std::function<void(std::string_view message)>;

/// Where the rotary layout of a loaded model came from.
enum class RopeSource {
  kRequested,   ///< LoadOptions::rope_layout.
  kConfig,      ///< The `rope_layout` key of config.json, or `lille.rope_layout` of a GGUF file.
  kRemembered,  ///< Measured by an earlier load of the same file.
  kMeasured,    ///< Measured by this load.
  kDefault,     ///< mlx-lm's interleaved: nothing could be measured, or no layout was clearly best.
};

/// Perplexity of the built-in text under one layout, over the tokens read until the choice was clear.
struct RopePerplexity {
  RopeLayout layout = RopeLayout::kInterleaved;  ///< What was measured.
  double perplexity = 0;                         ///< exp of the mean loss.
};

/// The rotary layout of a model and how it was found (docs/ROPE.md).
struct RopeChoice {
  RopeLayout layout = RopeLayout::kInterleaved;  ///< The one that is used.
  RopeSource source = RopeSource::kDefault;      ///< Where it came from.
  std::vector<RopePerplexity> perplexities;      ///< One for each layout if it was measured or remembered.
  int64_t n_tokens = 0;                          ///< Predictions compared under each layout.
};

/// How Model::load loads.
struct LoadOptions {
  std::optional<RopeLayout> rope_layout;  ///< Use this layout, whatever the folder says.
  std::filesystem::path cache_folder;     ///< Where measured layouts are remembered; empty: nowhere.
  int64_t n_threads = 0;                  ///< For checking and measuring; 0: every usable processor.
  std::string kernels;                    ///< Kernel table by name; empty: the best this machine runs.
  WarningCallback on_warning;             ///< May be empty.
  /// Called while a layout is measured, which takes seconds with a large model, with the passes that are done
  /// and the most there may be; measuring ends as soon as the choice is clear. May be empty.
  std::function<void(int64_t n_done, int64_t n_total)> on_progress;
};

/// A Lille checkpoint, mapped and checked. Immutable and shared by threads; a copy is another handle to the
/// same. Source: mlx_lm/models/lille-130m.py Model.
class Model {
 public:
  /// Loads a folder with `config.json` and `model.safetensors` (or `model.safetensors.index.json` and its
  /// shards), a GGUF file (docs/GGUF.md), or a .pt file of PyTorch, which a folder without safetensors may
  /// hold as `best_model.pt` or `ckpt_final.pt` (docs/CHECKPOINTS.md). Weights stay in the mapped files, in
  /// the type they have there.
  /// @throws Error(kNotFound) for a missing folder or file; Error(kCorruptFile) for a malformed one, and for
  ///   tensors that are missing, unknown, or of a wrong shape or dtype, all of them in one message;
  ///   Error(kUnsupported) for what no Lille has.
  static Model load(const std::filesystem::path& path, const LoadOptions& options = {});

  /// What config.json or the metadata say.
  const ModelArgs& args() const noexcept;
  /// The rotary layout, and how it was found.
  const RopeChoice& rope() const noexcept;
  /// The folder or file it came from: what finds its tokenizer and its generation defaults too.
  const std::filesystem::path& path() const noexcept;
  /// What lies there, for people: "safetensors folder", "GGUF version 3, Q4_K_M".
  std::string form() const;

  /// Parameters and bytes of one part of the model, as `lille info` shows them.
  struct Part {
    std::string name;      ///< "tok_embeddings", "attention", "feed_forward", "norm"
    int64_t n_parameters;  ///< Weights as the model has them, scales and biases not counted.
    int64_t n_bytes;       ///< As stored, scales and biases included.
    std::string dtype;     ///< "BF16", or "8-bit, groups of 64, BF16 scales"
  };
  /// In the order of the forward pass, the norms last.
  std::vector<Part> parts() const;

  /// The weights that are stored in one type.
  struct Storage {
    std::string dtype;     ///< "BF16", "Q5_0", or "8-bit, groups of 64, BF16 scales"
    int64_t n_parameters;  ///< Weights as the model has them, scales and biases not counted.
    int64_t n_bytes;       ///< As stored, scales and biases included.
  };
  /// The type with most weights first.
  std::vector<Storage> storage() const;

 private:
  friend struct Access;
  explicit Model(std::shared_ptr<const ModelParts> parts);
  std::shared_ptr<const ModelParts> parts_;
};

/// How keys and values are cached: they are rounded to it before their first use. What that costs and saves:
/// docs/GENERATION.md.
enum class CacheType {
  kF32,
  kBF16,
  kQ8_0,  ///< 8 bits and, for each 32 elements of a head, a scale in F16; head_dim is a multiple of 32.
};
/// Every one of them.
inline constexpr CacheType kCacheTypes[] = {CacheType::kF32, CacheType::kBF16, CacheType::kQ8_0};

/// "F32", "BF16" or "Q8_0".
std::string_view cache_type_name(CacheType type) noexcept;
/// Bits of an element, scales not counted: 32, 16 or 8. mlx-lm's name of the option.
int64_t kv_bits(CacheType type) noexcept;
/// The type with elements of so many bits.
/// @throws Error(kInvalidArgument) for other numbers than 32, 16 and 8.
CacheType cache_type_of_bits(int64_t kv_bits);
/// Bytes of one token's keys and values in all layers, scales included.
/// @throws Error(kInvalidArgument) for kQ8_0 and a head_dim that is no multiple of 32.
int64_t cache_bytes_per_token(const ModelArgs& args, CacheType type);

/// The keys and values of one sequence in every layer, and with them its tokens and its position: mlx-lm's
/// list of KVCache. Holds up to block_size tokens; memory is taken as it fills. Serves the model it was made
/// for and keeps that one's files mapped.
class PromptCache {
 public:
  /// An empty cache for this model.
  /// @throws Error(kInvalidArgument) for kQ8_0 and a head_dim that is no multiple of 32.
  explicit PromptCache(const Model& model, CacheType type = CacheType::kF32);
  ~PromptCache();
  PromptCache(PromptCache&&) noexcept;
  PromptCache& operator=(PromptCache&&) noexcept;

  /// The number of tokens in the cache: the position of the next one.
  int64_t offset() const noexcept;
  /// The ids of those tokens, position 0 first; valid until the cache changes.
  std::span<const int32_t> tokens() const noexcept { return tokens_; }
  /// Forgets the last n_tokens tokens, or all if there are fewer; returns how many it forgot.
  int64_t trim(int64_t n_tokens) noexcept;
  /// Tokens it can hold.
  int64_t capacity() const noexcept;
  /// Element type of its keys and values.
  CacheType type() const noexcept;
  /// What it was made for.
  const Model& model() const noexcept { return model_; }
  /// Name of the kernel table whose passes filled it; empty while the cache is.
  std::string_view kernels() const noexcept { return kernels_; }

 private:
  friend struct Access;
  Model model_;
  std::vector<KVCache> layers_;
  std::vector<int32_t> tokens_;
  std::string kernels_;
};

/// The name mlx-lm has for it. A session's own type: make_prompt_cache(session).
inline PromptCache make_prompt_cache(const Model& model, CacheType type = CacheType::kF32) {
  return PromptCache(model, type);
}

/// Which rows of a sequence get logits.
enum class LogitsFor { kNone, kLast, kAll };

/// One sequence's part of a forward pass.
struct BatchItem {
  std::span<const int32_t> tokens;      ///< At least one; they follow what the cache holds.
  PromptCache* cache = nullptr;         ///< Each item has its own; it grows by tokens.size().
  LogitsFor logits = LogitsFor::kLast;  ///< Of which tokens.
};

/// Sees what goes on inside a forward pass. Hidden states are those of the pass itself; attention weights are
/// computed beside it, in double, since the pass never holds them.
class Observer {
 public:
  virtual ~Observer() = default;
  /// Called n_layer + 2 times: hidden_idx 0 is the embedding, then one after each block, the last is the
  /// final norm.
  /// @param values  (n_rows, n_embd), rows of all items one after the other.
  virtual void hidden_state(int64_t hidden_idx, std::span<const float> values);
  /// Whether attention_weights is wanted: computing them costs a second, slower attention.
  virtual bool wants_attention_weights() const;
  /// @param row_idx  row of the pass.
  /// @param weights  (n_head, n_keys), each head's row adds up to 1.
  virtual void attention_weights(int64_t layer_idx, int64_t row_idx, std::span<const float> weights);
};

/// What a forward pass tells and obeys while it runs.
struct ForwardOptions {
  std::stop_token cancel;                                            ///< Looked at before each block.
  std::function<void(int64_t n_done, int64_t n_layer)> on_progress;  ///< After each block; may be empty.
  Observer* observer = nullptr;                                      ///< May be null.
};

/// Logits of a forward pass, valid until the session's next one.
struct Logits {
  std::span<const float> values;  ///< (n_rows, vocab_size), in the order of the batch items
  int64_t n_rows = 0;             ///< As many as the items asked for.
  int64_t vocab_size = 0;         ///< Numbers of a row.

  /// (vocab_size), row_idx from 0 to n_rows - 1.
  std::span<const float> row(int64_t row_idx) const {
    return values.subspan(static_cast<std::size_t>(row_idx * vocab_size),
                          static_cast<std::size_t>(vocab_size));
  }
};

/// How a Session computes.
struct SessionOptions {
  int64_t n_threads = 0;     ///< 0: every usable processor.
  std::string kernels = {};  ///< Kernel table by name; empty: the best this machine runs.
  /// Multiply all weights by activations in float32. Otherwise activations that meet quantised weights are
  /// rounded to 8 bits in blocks of 32 columns first, and those that meet bfloat16 to bfloat16, as in mixed
  /// precision training; both are faster and change predictions a little (docs/PERFORMANCE.md). Weights in
  /// float32 and float16, and GGUF's K types, are always multiplied in float32.
  bool exact = false;
  /// Of the caches that make_prompt_cache(session) makes, and with it everything that reads a text of its
  /// own: answers, chats, perplexities, servers. forward() takes caches of any type.
  CacheType cache_type = CacheType::kF32;
};

/// Threads and scratch memory to run a model with. One thread uses a session at a time; any number of
/// sessions share one Model.
class Session {
 public:
  /// @throws Error(kInvalidArgument | kUnsupported) for an unknown kernel table, a bad number of threads, or
  ///   a type of cache that head_dim does not fit.
  explicit Session(Model model, const SessionOptions& options = {});
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  /// What it computes with.
  const Model& model() const noexcept;
  /// Threads, the caller's included.
  int64_t n_threads() const noexcept;
  /// What computes: the name of the kernel table in use, such as "avx2", with " q8" behind it where
  /// activations are rounded to 8 bits, and " bf16" where they are rounded to bfloat16.
  std::string_view kernels() const noexcept;
  /// SessionOptions::cache_type.
  CacheType cache_type() const noexcept;

  /// One forward pass over sequences of any lengths. The logits of a row depend on its own sequence only, bit
  /// for bit: not on the other items, on the number of threads, or on how the sequence was cut into passes.
  /// If it throws, every cache has the tokens it had before.
  /// @throws Error(kInvalidArgument) for an empty item, an id outside the vocabulary, a cache that two items
  ///   share, that was made for another model or filled by other kernels, more tokens than the context
  ///   holds; Error(kCanceled).
  Logits forward(std::span<const BatchItem> batch, const ForwardOptions& options = {});

  /// How badly each row of logits predicted its target: -log softmax(row)[target], nats, in double.
  /// @param logits   (n_rows, vocab_size), as forward() gave them.
  /// @param targets  (n_rows)
  /// @throws Error(kInvalidShape | kInvalidArgument) for another number of targets, or one outside the
  ///   vocabulary.
  std::vector<double> cross_entropy(const Logits& logits, std::span<const int32_t> targets);

 private:
  friend struct Access;
  struct State;
  std::unique_ptr<State> state_;
};

/// An empty cache of the session's model and type.
inline PromptCache make_prompt_cache(const Session& session) {
  return PromptCache(session.model(), session.cache_type());
}

}  // namespace lille
