#pragma once

#include <array>
#include <string_view>

namespace lille {

/// What a tensor is called in a GGUF file and in the model.
struct GgufNameRow {
  std::string_view gguf;
  std::string_view model;  ///< Without ".weight".
};

/// Whole names. Source: ggml-org/llama.cpp src/llama-arch.cpp, the llama architecture.
inline constexpr std::array<GgufNameRow, 3> kGgufNames = {
    {{"token_embd.weight", "transformer.tok_embeddings"},
     {"output_norm.weight", "transformer.norm"},
     {"output.weight", "transformer.lm_head"}}};

/// What follows "blk.3." and "transformer.layers.3.", without ".weight".
inline constexpr std::array<GgufNameRow, 9> kGgufBlockNames = {{{"attn_norm", "attention.norm"},
                                                                {"attn_q", "attention.q_proj"},
                                                                {"attn_k", "attention.k_proj"},
                                                                {"attn_v", "attention.v_proj"},
                                                                {"attn_output", "attention.out_proj"},
                                                                {"ffn_norm", "feed_forward.norm"},
                                                                {"ffn_gate", "feed_forward.gate_proj"},
                                                                {"ffn_up", "feed_forward.up_proj"},
                                                                {"ffn_down", "feed_forward.down_proj"}}};

}  // namespace lille
