#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lille::python {

/// Token ids in one or two dimensions, as Python hands them over.
struct TokenRows {
  std::vector<int32_t> ids;  ///< (n_rows, n_tokens)
  int64_t n_rows = 0;        ///< 1 where there is one dimension.
  int64_t n_tokens = 0;      ///< Of each row.
  bool is_matrix = false;    ///< Whether there are two dimensions.

  /// Tokens `begin` to `begin + n` of a row.
  std::span<const int32_t> slice(int64_t row_idx, int64_t begin, int64_t n) const {
    return std::span(ids).subspan(static_cast<std::size_t>(row_idx * n_tokens + begin),
                                  static_cast<std::size_t>(n));
  }
};

/// @param object  a sequence of integers, a sequence of such sequences of one length, or a numpy array of
///   integers with one or two dimensions.
/// @param where   what the error says, "[logits] tokens".
/// @throws Error(kInvalidArgument) for anything else, and for an id that int32 cannot hold.
TokenRows read_token_rows(pybind11::handle object, std::string_view where);
/// The same with one dimension.
std::vector<int32_t> read_ids(pybind11::handle object, std::string_view where);

/// UTF-8 of a str, or bytes as they are.
/// @throws a Python exception: TypeError for anything else, UnicodeEncodeError for lone surrogates.
std::string read_text(pybind11::handle object, std::string_view where);

/// A str; what is no UTF-8 becomes U+FFFD, as in a character that an answer was cut in.
pybind11::str make_text(std::string_view text);

/// An array over memory that it owns: the numbers are moved, not copied.
pybind11::array_t<float> make_array(std::vector<float> values, std::vector<pybind11::ssize_t> shape);
/// An array with a copy of the numbers.
pybind11::array_t<float> copy_array(std::span<const float> values, std::vector<pybind11::ssize_t> shape);

}  // namespace lille::python
