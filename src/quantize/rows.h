#pragma once

#include <span>

#include "base/function_ref.h"
#include "base/thread_pool.h"
#include "kernels/kernel_types.h"

namespace lille {

/// Where the rows of a matrix come from.
struct RowSource {
  int64_t n_rows = 0;
  int64_t n_in = 0;
  FunctionRef<void(float* out, int64_t row_idx)> read;  ///< Writes one row, (n_in) float32, on any thread.
  int64_t first_row = 0;                                ///< What messages call row 0.
};

/// Calls use(row_idx, row) for every row, the rows shared by the threads of the pool.
/// @param use  may throw; of several errors that of the first row is thrown on, whatever the threads.
/// @throws Error(kInvalidArgument) for a weight that is NaN or infinite; what `use` throws.
void for_each_row(const RowSource& source, ThreadPool& pool,
                  FunctionRef<void(int64_t row_idx, std::span<const float> row)> use);

/// The same for a matrix as it is stored.
/// @param first_row  what messages call its row 0.
void for_each_row(const kernels::WeightMatrix& source, ThreadPool& pool,
                  FunctionRef<void(int64_t row_idx, std::span<const float> row)> use, int64_t first_row = 0);

}  // namespace lille
