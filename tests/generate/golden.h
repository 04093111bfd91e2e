#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "support.h"

namespace lille::test {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// The elements of a tensor in row-major order; the test fails if its dtype has another size than T.
template <typename T>
std::vector<T> values_of(const SafetensorsFile& file, const std::string& name) {
  const TensorView& tensor = file.at(name);
  std::vector<T> values(static_cast<size_t>(tensor.n_elements()));
  EXPECT_EQ(tensor.bytes.size(), values.size() * sizeof(T)) << name;
  if (!values.empty())
    std::memcpy(values.data(), tensor.bytes.data(), std::min(tensor.bytes.size(), values.size() * sizeof(T)));
  return values;
}

/// A file of ../shared/golden/mlx/sampling: inputs and outputs of the real mlx and mlx-lm.
inline SafetensorsFile golden_tensors(const std::string& name) {
  return SafetensorsFile(shared_path("golden/mlx/sampling/" + name));
}

inline nlohmann::json golden_json(const std::string& name) {
  return nlohmann::json::parse(read_file(shared_path("golden/mlx/sampling/" + name)));
}

}  // namespace lille::test
