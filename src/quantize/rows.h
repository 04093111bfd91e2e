#pragma once

#include <span>

#include "base/function_ref.h"
#include "base/thread_pool.h"
#include "kernels/kernel_types.h"

namespace lille {

/// Calls use(row_idx, row) for every row of a matrix as float32, the rows shared by the threads of the pool.
/// @param use  may throw; of several errors that of the first row is thrown on, whatever the threads.
/// @throws Error(kInvalidArgument) for a weight that is NaN or infinite; what `use` throws.
void for_each_row(const kernels::WeightMatrix& source, ThreadPool& pool,
                  FunctionRef<void(int64_t row_idx, std::span<const float> row)> use);

}  // namespace lille
