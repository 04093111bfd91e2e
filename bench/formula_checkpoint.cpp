// Writes a checkpoint of the Lille-130M shape with weights from a formula, to measure with where the real one
// is not at hand: speed does not depend on the values.
//
//   formula_checkpoint TOKENIZER_FOLDER NEW_FOLDER

#include <exception>
#include <fstream>
#include <iostream>

#include "model/formula.h"

namespace {

constexpr const char* kConfig = R"({
  "model_type": "lille-130m",
  "block_size": 512,
  "layer_norm_eps": 1e-05,
  "n_embd": 640,
  "n_head": 10,
  "n_kv_heads": 2,
  "n_layer": 24,
  "rope_theta": 10000.0,
  "vocab_size": 32768,
  "tie_word_embeddings": true
}
)";

void write(const std::filesystem::path& tokenizer, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << kConfig;
  for (const char* file : {"vocab.json", "merges.txt", "tokenizer_config.json"})
    std::filesystem::copy_file(tokenizer / file, folder / file,
                               std::filesystem::copy_options::overwrite_existing);
  lille::test::write_formula_weights<uint16_t>(folder, lille::DType::kBF16, lille::f32_to_bf16);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: formula_checkpoint TOKENIZER_FOLDER NEW_FOLDER\n";
    return 2;
  }
  try {
    write(argv[1], argv[2]);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "formula_checkpoint: " << error.what() << "\n";
    return 1;
  }
}
