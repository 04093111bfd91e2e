#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "harness.h"
#include "lille/model_args.h"

namespace {

using lille::fuzz::check_message;
using lille::fuzz::require;

/// What the rest of the program relies on once a config was accepted; an Error here ends the run, as it
/// should.
void check_args(const lille::ModelArgs& args) noexcept {
  require(args.head_dim() > 0 && args.head_dim() % 2 == 0);
  require(args.head_dim() <= lille::ModelArgs::kMaxHeadDim);
  require(args.n_rep() > 0 && args.q_size() == args.n_embd && args.hidden_dim() > 0);
  int64_t n_parameters = 0;
  require(!__builtin_mul_overflow(args.vocab_size, args.n_embd, &n_parameters));
  require(!__builtin_mul_overflow(args.n_layer * args.hidden_dim(), 12 * args.n_embd, &n_parameters));
  int64_t cache_bytes = 0;
  require(!__builtin_mul_overflow(args.n_layer * args.block_size, 8 * args.kv_size(), &cache_bytes));
  require(args.layer_norm_eps > 0 && args.rope_theta >= 1 && args.tie_word_embeddings);
  if (args.quantization) require(args.quantization->group_size % 32 == 0 && args.quantization->bits <= 8);
  require(lille::ModelArgs::from_json(args.to_json(), "written") == args);
}

}  // namespace

/// The input is a config.json. What is accepted must be computable and survive being written.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t n_bytes) {
  try {
    check_args(lille::ModelArgs::from_json({reinterpret_cast<const char*>(data), n_bytes}, "config.json"));
  } catch (const lille::Error& error) {
    check_message(error);
  }
  return 0;
}
