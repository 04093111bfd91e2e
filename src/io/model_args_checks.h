#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lille/model_args.h"

namespace lille {

/// A size of the model and what each form calls it. The bounds keep every product of sizes far below 2^63 and
/// leave a wide margin above any model that a CPU can run.
struct SizeKey {
  const char* name;
  const char* training_name;  ///< What the author's training code calls it, or nullptr.
  const char* gguf_name;
  int64_t ModelArgs::*member;
  int64_t max;
  const char* hint = nullptr;
};

inline constexpr std::array<SizeKey, 6> kSizeKeys = {
    {{"block_size", nullptr, "llama.context_length", &ModelArgs::block_size, int64_t{1} << 16,
      "the rotary table and the cache of a sequence hold a row for each of these positions; a shorter "
      "context needs no other weights"},
     {"n_embd", nullptr, "llama.embedding_length", &ModelArgs::n_embd, int64_t{1} << 16},
     {"n_head", "n_heads", "llama.attention.head_count", &ModelArgs::n_head, int64_t{1} << 12},
     {"n_kv_heads", nullptr, "llama.attention.head_count_kv", &ModelArgs::n_kv_heads, int64_t{1} << 12},
     {"n_layer", "n_layers", "llama.block_count", &ModelArgs::n_layer, int64_t{1} << 12},
     {"vocab_size", nullptr, "llama.vocab_size", &ModelArgs::vocab_size, int64_t{1} << 24}}};

/// Bounds of the rotary base.
inline constexpr double kMinRopeTheta = 1;
inline constexpr double kMaxRopeTheta = 1e12;

/// Sizes that are each in range and do not fit together.
struct SizeFault {
  int64_t ModelArgs::*member;  ///< Which of kSizeKeys is wrong.
  std::string expected;
  std::string found;
  std::string hint;  ///< Empty: nothing particular.
};

/// The first fault among sizes, or nothing.
std::optional<SizeFault> find_size_fault(const ModelArgs& args);

}  // namespace lille
