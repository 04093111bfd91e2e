#include "quantize/output_matching.h"

#include <algorithm>

#include "base/check.h"
#include "quantize/rows.h"

namespace lille {

std::vector<float> match_outputs(const kernels::WeightMatrix& source, std::span<const double> d_y,
                                 const GptqHessian& hessian, ThreadPool& pool) {
  const auto n_in = static_cast<std::size_t>(source.n_in);
  if (hessian.n_in() != source.n_in || d_y.size() != n_in * n_in)
    raise(ErrorCode::kInvalidShape, "[quantize] inputs: expected ({0}, {0}) products, got ({1}, {1}) and {2}",
          source.n_in, hessian.n_in(), d_y.size());
  std::vector<float> matched(static_cast<std::size_t>(source.n_out) * n_in);
  for_each_row(source, pool, [&](int64_t row_idx, std::span<const float> row) {
    std::vector<double> step(n_in);
    for (std::size_t from = 0; from < n_in; ++from)
      for (std::size_t to = 0; to < n_in; ++to) step[to] += row[from] * d_y[from * n_in + to];
    solve(hessian.factors(), step);
    float* const target = matched.data() + static_cast<std::size_t>(row_idx) * n_in;
    for (std::size_t idx = 0; idx < n_in; ++idx)
      target[idx] = static_cast<float>(row[idx] + step[idx] / hessian.unit());
  });
  return matched;
}

}  // namespace lille
