#include "bindings.h"
#include "lille/version.h"

PYBIND11_MODULE(_lille, module) {
  module.doc() = "The C++ part of the package lille.";
  module.attr("__version__") = LILLE_VERSION;
  lille::python::add_errors(module);
  lille::python::add_tokenizer(module);
  lille::python::add_sampling(module);
  lille::python::add_model(module);
  lille::python::add_generation(module);
  lille::python::add_options(module);
}
