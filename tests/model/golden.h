#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/dtype.h"
#include "io/safetensors.h"
#include "lille/model.h"
#include "support.h"

namespace lille::test {

/// A tensor of expected values, copied out of its file.
struct Expected {
  std::vector<int64_t> shape;
  std::vector<float> values;

  /// Rows [first, first + n) of the last axis, all leading axes taken as one.
  std::span<const float> rows(int64_t first, int64_t n) const {
    const auto n_cols = static_cast<std::size_t>(shape.back());
    return std::span(values).subspan(static_cast<std::size_t>(first) * n_cols,
                                     static_cast<std::size_t>(n) * n_cols);
  }
};

inline Expected expected(const SafetensorsFile& file, std::string_view name) {
  const TensorView& view = file.at(name);
  if (view.dtype != DType::kF32) raise(ErrorCode::kInternal, "{} is not F32", view.name);
  Expected tensor = {view.shape, std::vector<float>(static_cast<std::size_t>(view.n_elements()))};
  std::memcpy(tensor.values.data(), view.bytes.data(), view.bytes.size());
  return tensor;
}

/// Ids stored as I32 or I64, in row-major order.
inline std::vector<int32_t> ids_of(const SafetensorsFile& file, std::string_view name) {
  const TensorView& view = file.at(name);
  std::vector<int32_t> ids;
  for (int64_t idx = 0; idx < view.n_elements(); ++idx)
    ids.push_back(view.dtype == DType::kI64
                      ? static_cast<int32_t>(load_unaligned<int64_t>(view.bytes.data() + 8 * idx))
                      : load_unaligned<int32_t>(view.bytes.data() + 4 * idx));
  return ids;
}

/// Expects |actual - expected| <= tolerance everywhere and tells the worst place.
inline void expect_near(std::span<const float> actual, std::span<const float> wanted, double tolerance,
                        const std::string& what) {
  ASSERT_EQ(actual.size(), wanted.size()) << what;
  double worst = 0;
  std::size_t worst_idx = 0;
  for (std::size_t idx = 0; idx < actual.size(); ++idx) {
    const double distance = std::fabs(double{actual[idx]} - double{wanted[idx]});
    if (distance > worst || std::isnan(distance)) {
      worst = std::isnan(distance) ? INFINITY : distance;
      worst_idx = idx;
    }
  }
  EXPECT_LE(worst, tolerance) << what << "[" << worst_idx << "]: expected " << wanted[worst_idx] << ", got "
                              << actual[worst_idx];
}

/// Keeps what a pass shows.
class Recorder : public Observer {
 public:
  void hidden_state(int64_t, std::span<const float> values) override {
    hidden.emplace_back(values.begin(), values.end());
  }

  std::vector<std::vector<float>> hidden;  ///< (n_layer + 2), each (n_rows, n_embd)
};

/// All logits of one sequence in one pass.
inline std::vector<float> all_logits(Session& session, std::span<const int32_t> ids,
                                     Observer* observer = nullptr) {
  PromptCache cache = make_prompt_cache(session.model());
  const BatchItem item = {ids, &cache, LogitsFor::kAll};
  const Logits logits = session.forward(std::span(&item, 1), {{}, {}, observer});
  return {logits.values.begin(), logits.values.end()};
}

/// All logits of one sequence, read in chunks of the given sizes and then one token at a time.
inline std::vector<float> chunked_logits(Session& session, std::span<const int32_t> ids,
                                         std::span<const std::size_t> chunks,
                                         CacheType type = CacheType::kF32) {
  PromptCache cache = make_prompt_cache(session.model(), type);
  std::vector<float> values;
  std::size_t begin = 0;
  for (std::size_t chunk_idx = 0; begin < ids.size(); ++chunk_idx) {
    const std::size_t n = std::min(chunk_idx < chunks.size() ? chunks[chunk_idx] : 1, ids.size() - begin);
    const BatchItem item = {ids.subspan(begin, n), &cache, LogitsFor::kAll};
    const Logits logits = session.forward(std::span(&item, 1));
    values.insert(values.end(), logits.values.begin(), logits.values.end());
    begin += n;
  }
  return values;
}

inline Model load_model(const std::filesystem::path& folder,
                        std::optional<RopeLayout> layout = std::nullopt) {
  LoadOptions options;
  options.rope_layout = layout;
  return Model::load(folder, options);
}

/// A path below ../shared/golden, or the copy of it in the repository where that is there.
inline std::filesystem::path golden_path(std::string_view relative) {
  const std::filesystem::path copy = source_path("tests/golden") / relative;
  return std::filesystem::exists(copy) ? copy : shared_path("golden") / relative;
}

}  // namespace lille::test
