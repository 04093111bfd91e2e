#pragma once

#include <pybind11/pybind11.h>

/// The module `lille._lille`: the library's C++ interface for the Python package `lille`, whose files beside
/// this folder hold what Python says better.
namespace lille::python {

/// Errors of the library become the classes of lille/errors.py.
void add_errors(pybind11::module_& module);
/// Tokenizer and StreamingDetokenizer.
void add_tokenizer(pybind11::module_& module);
/// ModelArgs, Model, PromptCache, and how they are loaded.
void add_model(pybind11::module_& module);
/// Sampler, LogitsProcessor and what makes them.
void add_sampling(pybind11::module_& module);
/// Answers to one prompt and to many.
void add_generation(pybind11::module_& module);
/// What is known of options (generate/options.h), for the tests.
void add_options(pybind11::module_& module);

}  // namespace lille::python
