#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "lille/model.h"
#include "lille/tokenizer.h"

namespace lille {

/// What export_gguf writes beside the weights, and how it stores them.
struct GgufExportOptions {
  /// "F32", "F16", "BF16", or llama.cpp's name of a mixture: "Q8_0", "Q4_0", "Q5_0", "Q4_K_M", "Q6_K". Empty:
  /// every matrix as it is stored.
  std::string type;
  std::string name;              ///< general.name; empty: none.
  bool add_bos_token = true;     ///< Whether a text begins with `<|startoftext|>`.
  float temperature = 0.5F;      ///< What programs shall sample with unless a user says otherwise.
  float top_p = 0.95F;           ///< The same.
  int64_t top_k = 0;             ///< The same; 0: off, and not written.
  float min_p = 0;               ///< The same; 0: off, and not written.
  float repetition_penalty = 1;  ///< The same; 1: off, and not written.
  bool overwrite = false;        ///< Replaces a file that is there, but never one of the model's own.
  int64_t n_threads = 0;         ///< 0: every usable processor. The file does not depend on it.
  WarningCallback on_warning;    ///< May be empty.
};

/// Writes a model as a GGUF file of the llama architecture, for llama.cpp and the programs built on it
/// (docs/GGUF.md). Rows of q and k keep their order where the layout is `interleaved`, which llama.cpp
/// computes; for `half` they are permuted so that it computes that; for `original`, which it cannot, they are
/// permuted as the author's exporter does, with a warning. Our own keys say which, so that Model::load reads
/// the same weights back. Types of a mixture follow llama.cpp's quantiser; the file appears whole or not at
/// all.
/// @throws Error(kInvalidArgument) for a file that is there and may not be replaced, an unknown type, a
/// matrix whose rows no block of the type fits, weights in
///   MLX's form without a type, a tokenizer that is not the model's; Error(kIo | kNotFound).
void export_gguf(const Model& model, const Tokenizer& tokenizer, const std::filesystem::path& path,
                 const GgufExportOptions& options = {});

}  // namespace lille
