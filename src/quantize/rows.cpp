#include "quantize/rows.h"

#include <cmath>
#include <exception>
#include <mutex>
#include <vector>

#include "base/check.h"
#include "kernels/kernel_table.h"

namespace lille {
namespace {

void check_finite(int64_t row_idx, std::span<const float> row) {
  for (std::size_t idx = 0; idx < row.size(); ++idx)
    if (!std::isfinite(row[idx]))
      raise(ErrorCode::kInvalidArgument,
            "[quantize] weight ({}, {}): expected a finite number, got {}. Hint: is the checkpoint damaged?",
            row_idx, idx, row[idx]);
}

/// The error of the lowest row, from any number of threads.
class FirstError {
 public:
  void keep(int64_t row_idx, std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (error_ != nullptr && row_idx_ < row_idx) return;
    row_idx_ = row_idx;
    error_ = std::move(error);
  }
  void rethrow() const {
    if (error_ != nullptr) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  int64_t row_idx_ = 0;
  std::exception_ptr error_;
};

}  // namespace

void for_each_row(const RowSource& source, ThreadPool& pool,
                  FunctionRef<void(int64_t row_idx, std::span<const float> row)> use) {
  std::vector<std::vector<float>> rows(static_cast<std::size_t>(pool.n_threads()),
                                       std::vector<float>(static_cast<std::size_t>(source.n_in)));
  FirstError first_error;
  pool.run(source.n_rows, [&](int64_t row_idx, int64_t thread_idx) {
    const std::span<float> row = rows[static_cast<std::size_t>(thread_idx)];
    source.read(row.data(), row_idx);
    try {
      check_finite(source.first_row + row_idx, row);
      use(row_idx, row);
    } catch (...) {
      first_error.keep(row_idx, std::current_exception());
    }
  });
  first_error.rethrow();
}

void for_each_row(const kernels::WeightMatrix& source, ThreadPool& pool,
                  FunctionRef<void(int64_t row_idx, std::span<const float> row)> use, int64_t first_row) {
  const kernels::KernelTable& kernels = kernels::select_kernel_table({});
  const auto read = [&](float* out, int64_t row_idx) { kernels.dequantize_row(out, source, row_idx); };
  for_each_row({source.n_out, source.n_in, read, first_row}, pool, use);
}

}  // namespace lille
