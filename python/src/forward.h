#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <utility>

#include "model.h"

namespace lille::python {

/// Logits of every token: float32 (n_tokens, vocab_size), with two dimensions of tokens
/// (n_rows, n_tokens, vocab_size).
/// @param tokens  as read_token_rows; they follow what the cache holds.
/// @param cache   of one row; may be null. If this throws, it is as it was.
/// @throws Error(kInvalidArgument) for a cache with several rows, and as Session::forward.
pybind11::array_t<float> logits(const ModelHandle& model, const pybind11::object& tokens,
                                std::shared_ptr<CacheHandle> cache);

/// The embedding, what each block gives, and the final norm: float32 (n_layer + 2, n_tokens, n_embd), with
/// two dimensions of tokens (n_layer + 2, n_rows, n_tokens, n_embd). Arguments and errors as logits().
pybind11::array_t<float> hidden_states(const ModelHandle& model, const pybind11::object& tokens,
                                       std::shared_ptr<CacheHandle> cache);

/// The sum of the log-probabilities, nats, of a continuation after a context, and whether each of its tokens
/// is the likeliest. A context that does not fit with it loses its beginning.
/// @param context       at least one token.
/// @param continuation  at least one token, at most block_size.
/// @param cache         keeps what was read for the next call; may be null.
/// @throws Error(kInvalidArgument); as Session::forward.
std::pair<double, bool> loglikelihood(const ModelHandle& model, const pybind11::object& context,
                                      const pybind11::object& continuation,
                                      std::shared_ptr<CacheHandle> cache);

}  // namespace lille::python
