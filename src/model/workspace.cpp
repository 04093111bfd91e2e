#include "model/workspace.h"

#include <array>
#include <utility>

namespace lille {

void Workspace::resize(const ModelArgs& args, int64_t n_rows, int64_t n_logit_rows) {
  const int64_t qkv_size = args.q_size() + 2 * args.kv_size();
  const std::array<std::pair<ops::Rows*, int64_t>, 10> stages = {{{&x, args.n_embd},
                                                                  {&attn_normed, args.n_embd},
                                                                  {&qkv, qkv_size},
                                                                  {&attn_heads, args.q_size()},
                                                                  {&attn_out, args.n_embd},
                                                                  {&ffn_normed, args.n_embd},
                                                                  {&gate, args.hidden_dim()},
                                                                  {&up, args.hidden_dim()},
                                                                  {&ffn_out, args.n_embd},
                                                                  {&final_normed, args.n_embd}}};
  // Rows begin on cache lines: sizes are rounded up to 16 floats.
  const auto padded = [](int64_t n_cols) { return (n_cols + 15) / 16 * 16; };
  int64_t n_floats = 0;
  for (const auto& [stage, n_cols] : stages) n_floats += n_rows * padded(n_cols);
  if (static_cast<int64_t>(stages_.size()) < n_floats)
    stages_ = AlignedBuffer<float>(static_cast<std::size_t>(n_floats));
  float* next = stages_.data();
  for (const auto& [stage, n_cols] : stages) {
    *stage = {next, n_rows, n_cols, padded(n_cols)};
    next += n_rows * padded(n_cols);
  }
  const int64_t n_logits = n_logit_rows * args.vocab_size;
  if (static_cast<int64_t>(logits_buffer_.size()) < n_logits)
    logits_buffer_ = AlignedBuffer<float>(static_cast<std::size_t>(n_logits));
  logits = {logits_buffer_.data(), n_logit_rows, args.vocab_size, args.vocab_size};
}

}  // namespace lille
