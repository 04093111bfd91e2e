#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "computation.h"
#include "lille/logits_processors.h"
#include "lille/sampler.h"

namespace lille::python {

/// What make_sampler was told: a sampler before it knows of a model.
struct SamplerHandle {
  SamplerOptions options;
};

/// What make_logits_processors was told of one processor.
struct ProcessorHandle {
  LogitsProcessorOptions options;  ///< One of them is on.
};

/// The sampler that Python means: None is the library's default, what make_sampler gave is made for this
/// model, and any other callable is called with log-probabilities, float32 (1, vocab_size), and returns a
/// token id, or an array with one.
/// @param computation  runs the callable.
/// @throws Error(kInvalidArgument) for anything else, and as make_sampler.
std::optional<Sampler> read_sampler(pybind11::handle object, int64_t vocab_size,
                                    const std::shared_ptr<Computation>& computation);

/// The processors that Python means: None, or a sequence of those that make_logits_processors gave and of
/// callables, which get all tokens, int32 (n_tokens), and the logits, float32 (1, vocab_size), and return
/// the logits, or change them and return None.
/// @throws Error(kInvalidArgument) for anything else, and as make_logits_processors.
LogitsProcessors read_processors(pybind11::handle object, int64_t vocab_size,
                                 const std::shared_ptr<Computation>& computation);

}  // namespace lille::python
