#pragma once

#include "ops/device.h"

namespace lille::ops {

/// Undoes, in place, the order in which llama.cpp's converters write the rows of q and k. They put element j
/// of a head's first half at 2j and of its second half at 2j + 1, so that a rotation of neighbours acts on
/// halves: out[j] = x[2j], out[j + head_dim / 2] = x[2j + 1], in every head.
/// @param x  (n_rows, n_heads * head_dim), head_dim even.
/// @throws Error(kInvalidShape)
/// Source: ggml-org/llama.cpp convert_hf_to_gguf.py LlamaModel.permute.
void unpermute_heads(Device& device, Rows x, int64_t head_dim);

}  // namespace lille::ops
