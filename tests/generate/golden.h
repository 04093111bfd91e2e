#pragma once

#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support.h"

namespace lille::test {

/// One of the files of ../shared/golden/mlx/sampling: real mlx and mlx-lm's inputs and outputs.
class GoldenFile {
 public:
  explicit GoldenFile(const std::string& name)
      : content_(read_file(shared_path("golden/mlx/sampling/" + name))) {
    uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, content_.data(), sizeof(header_bytes));
    header_ = nlohmann::json::parse(content_.substr(sizeof(header_bytes), header_bytes));
    data_start_ = sizeof(header_bytes) + header_bytes;
  }

  bool contains(const std::string& name) const { return header_.contains(name); }

  /// All elements of a tensor in row-major order; the test fails if its dtype has another size than T.
  template <typename T>
  std::vector<T> at(const std::string& name) const {
    const auto [begin, end] = header_.at(name).at("data_offsets").get<std::pair<size_t, size_t>>();
    const auto shape = header_.at(name).at("shape").get<std::vector<size_t>>();
    size_t n_elements = 1;
    for (const size_t extent : shape) n_elements *= extent;
    EXPECT_EQ(end - begin, n_elements * sizeof(T)) << name;
    std::vector<T> values(n_elements);
    std::memcpy(values.data(), content_.data() + data_start_ + begin, n_elements * sizeof(T));
    return values;
  }

 private:
  std::string content_;
  nlohmann::json header_;
  size_t data_start_ = 0;
};

inline nlohmann::json golden_json(const std::string& name) {
  return nlohmann::json::parse(read_file(shared_path("golden/mlx/sampling/" + name)));
}

}  // namespace lille::test
