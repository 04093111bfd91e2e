#include "generate/options.h"

#include <pybind11/stl.h>

#include <string>
#include <utility>
#include <vector>

#include "bindings.h"

namespace lille::python {

void add_options(pybind11::module_& module) {
  // Name and other flag of each; a test holds the signatures of Python's functions against them.
  module.def("option_names", [] {
    const GenerationOptions generation;
    const ModelOptions model;
    const ComputeOptions compute;
    const DraftOptions draft;
    const BatchOptions batch;
    std::vector<std::pair<std::string, std::string>> names;
    const auto note = [&names](const OptionSpec& spec, const auto&) {
      names.emplace_back(spec.name, spec.alias);
    };
    visit_options(generation, note);
    visit_options(model, note);
    visit_options(compute, note);
    visit_options(draft, note);
    visit_options(batch, note);
    return names;
  });
}

}  // namespace lille::python
