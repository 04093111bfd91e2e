#include <exception>

#include "bindings.h"
#include "lille/error.h"

namespace lille::python {
namespace {

namespace py = pybind11;

// The class of lille/errors.py.
const char* class_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kInvalidShape:
      return "InvalidArgumentError";
    case ErrorCode::kUnsupported:
      return "UnsupportedError";
    case ErrorCode::kNotFound:
      return "NotFoundError";
    case ErrorCode::kCorruptFile:
      return "CorruptFileError";
    case ErrorCode::kIo:
      return "FileError";
    case ErrorCode::kOutOfMemory:
      return "OutOfMemoryError";
    case ErrorCode::kCanceled:
      return "CanceledError";
    case ErrorCode::kInternal:
      break;
  }
  return "InternalError";
}

}  // namespace

void add_errors(py::module_&) {
  py::register_exception_translator([](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const Error& error) {
      const py::object type = py::module_::import("lille.errors").attr(class_of(error.code()));
      PyErr_SetString(type.ptr(), error.what());
    }
  });
}

}  // namespace lille::python
