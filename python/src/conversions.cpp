#include "conversions.h"

#include <limits>
#include <memory>
#include <utility>

#include "base/check.h"
#include "base/text.h"

namespace lille::python {
namespace {

namespace py = pybind11;

std::string type_name(py::handle object) {
  return py::str(py::type::handle_of(object).attr("__name__")).cast<std::string>();
}

[[noreturn]] void raise_python(PyObject* type, const std::string& message) {
  PyErr_SetString(type, message.c_str());
  throw py::error_already_set();
}

// Of any object that numpy makes an array of integers of; without elements, numpy makes one of floats.
py::array integers_of(py::handle object, std::string_view where) {
  py::array array = py::module_::import("numpy").attr("asarray")(object);
  const char kind = array.dtype().kind();
  if (array.size() > 0 && kind != 'i' && kind != 'u')
    raise(ErrorCode::kInvalidArgument, "{}: expected token ids, got {} of {}", where,
          printable(type_name(object)), printable(py::str(array.dtype()).cast<std::string>()));
  if (array.ndim() < 1 || array.ndim() > 2)
    raise(ErrorCode::kInvalidArgument, "{}: expected one dimension (tokens) or two (rows, tokens), got {}",
          where, array.ndim());
  return array;
}

void check_int32(const py::array& array, std::string_view where) {
  if (array.size() == 0) return;
  for (const char* extreme : {"min", "max"}) {
    // Python's integers, since uint64 has some that int64 has not.
    const py::int_ value(array.attr(extreme)());
    if (value < py::int_(std::numeric_limits<int32_t>::min()) ||
        value > py::int_(std::numeric_limits<int32_t>::max()))
      raise(ErrorCode::kInvalidArgument, "{}: expected token ids, got {}", where,
            py::repr(value).cast<std::string>());
  }
}

}  // namespace

TokenRows read_token_rows(py::handle object, std::string_view where) {
  const py::array array = integers_of(object, where);
  if (array.itemsize() > 4 || array.dtype().kind() == 'u') check_int32(array, where);
  const py::array_t<int32_t, py::array::c_style | py::array::forcecast> ids(array);
  TokenRows rows;
  rows.is_matrix = array.ndim() == 2;
  rows.n_rows = rows.is_matrix ? array.shape(0) : 1;
  rows.n_tokens = array.shape(rows.is_matrix ? 1 : 0);
  rows.ids.assign(ids.data(), ids.data() + ids.size());
  return rows;
}

std::vector<int32_t> read_ids(py::handle object, std::string_view where) {
  TokenRows rows = read_token_rows(object, where);
  if (rows.is_matrix)
    raise(ErrorCode::kInvalidArgument, "{}: expected one dimension, got ({}, {})", where, rows.n_rows,
          rows.n_tokens);
  return std::move(rows.ids);
}

std::string read_text(py::handle object, std::string_view where) {
  if (PyBytes_Check(object.ptr())) return py::reinterpret_borrow<py::bytes>(object);
  if (!PyUnicode_Check(object.ptr()))
    raise_python(PyExc_TypeError, fmt::format("{}: expected str or bytes, got {}", where, type_name(object)));
  Py_ssize_t n_bytes = 0;
  const char* text = PyUnicode_AsUTF8AndSize(object.ptr(), &n_bytes);
  if (text == nullptr) throw py::error_already_set();
  return {text, static_cast<std::size_t>(n_bytes)};
}

py::str make_text(std::string_view text) {
  PyObject* object = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
  if (object == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(object);
}

py::array_t<float> make_array(std::vector<float> values, std::vector<py::ssize_t> shape) {
  auto owned = std::make_unique<std::vector<float>>(std::move(values));
  float* data = owned->data();
  const py::capsule owner(owned.get(), [](void* held) { delete static_cast<std::vector<float>*>(held); });
  static_cast<void>(owned.release());
  return py::array_t<float>(std::move(shape), data, owner);
}

py::array_t<float> copy_array(std::span<const float> values, std::vector<py::ssize_t> shape) {
  return make_array({values.begin(), values.end()}, std::move(shape));
}

}  // namespace lille::python
